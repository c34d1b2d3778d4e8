/**
 * Owns the testbed's own proof, with none of the project's code inside: a carve-out, device-dax, a guest on real KVM, a
 * real kexec. Each command is one a person could type; the project exists so that nobody has to.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { GuestMonitor } from '../scenario/guest-monitor.ts'
import type { Scenario } from '../scenario/scenario.ts'

/**
 * The RAM that the host's kernel leaves alone: 1 GiB at 4 GiB, where the second half of a 4G q35 machine begins. KASLR
 * takes `memmap=SIZE%…` for `mem=SIZE` and so stays below 1 GiB.
 */
const CARVE_OUT = 'memmap=1G%4G-1+0xefffffff modprobe.blacklist=kmem'
const FIRST_BYTE = '100000000'
const LAST_BYTE = '107ffffff' // 128 MiB further

const QEMU = `exec qemu-system-x86_64 -machine pc-q35-10.0,memory-backend=pc.ram -accel kvm -cpu host -m 128M \\
  -object memory-backend-file,id=pc.ram,size=128M,mem-path=/dev/dax0.1,align=2M,share=on,prealloc=off \\
  -nodefaults -display none -serial stdio -monitor unix:/run/guest.monitor,server,nowait \\
  -kernel /opt/testbed/files/tiny-guest`

const CARVE = `
  cd /sys/bus/dax
  region=$(dirname "$(realpath devices/dax0.0)")/dax_region
  [ ! -e devices/dax0.0/driver ] || echo dax0.0 >devices/dax0.0/driver/unbind
  echo 0 >devices/dax0.0/size
  echo 1 >"$region/create"
  echo ${FIRST_BYTE}-${LAST_BYTE} >devices/dax0.1/mapping
  echo dax0.1 >drivers/device_dax/new_id
  test -c /dev/dax0.1 && cat devices/dax0.1/size`

const monitor = new GuestMonitor('/run/guest.monitor')

export const kexecRaw: Scenario = {
  about: 'a KVM guest on a carve-out survives a real kexec, by commands typed by hand',
  memory: '4G',
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run({ host, next, phase, keep, guest }) {
    const ram = guest('guest')
    await phase('carve', () => host.run(CARVE))

    const { pid } = await host.start('guest', QEMU)
    await phase('guest runs', () => ram.waitForTicks(20))
    keep(
      'mapped by',
      await host.run(`grep -A25 dax0.1 /proc/${pid}/smaps | grep -E 'PageSize|VmFlags' | xargs`),
    )

    await phase('save', () => host.run(monitor.save('/var/lib/guest.sav')))
    keep('state file', `${await host.run('stat -c %s /var/lib/guest.sav')} bytes`)

    await phase('load next kernel', async () => {
      await host.atBoot(CARVE)
      await host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`)
    })
    await phase('kexec', () => host.jump('sync; kexec -e'))

    await phase('carved at boot', () =>
      host.log('at-boot').waitFor(new RegExp(`^${128 * 1024 * 1024}$`, 'm')),
    )
    await phase('restore', async () => {
      await host.start('guest', `${QEMU} -incoming defer`)
      await host.run(monitor.restore('/var/lib/guest.sav'))
    })
    await phase('guest runs on', () => ram.waitForTicks(20))
  },
}
