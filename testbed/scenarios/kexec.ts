/**
 * Owns the seed's usage section as it is typed, on a carve-out of a stock kernel: mount, touch, truncate, boot a KVM
 * guest from it, save it into the mount, freeze, kexec, mount again, restore. Where the seed says KHO, the carve-out
 * stays by itself; where it says 100M for a file of 500M, the sizes agree here.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { GuestMonitor } from '../scenario/guest-monitor.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

const QEMU = `exec qemu-system-x86_64 -machine pc-q35-10.0,memory-backend=pc.ram -accel kvm -cpu host -m 500M \\
  -object memory-backend-file,id=pc.ram,size=500M,mem-path=/mnt/guestmemfs/guest-ram,align=2M,share=on,prealloc=off \\
  -nodefaults -display none -serial stdio -monitor unix:/run/guest.monitor,server,nowait \\
  -kernel /opt/testbed/files/tiny-guest`

const MOUNT = 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax'
const monitor = new GuestMonitor('/run/guest.monitor')

export const kexec: Scenario = {
  about: 'the seed, typed, on a carve-out: a KVM guest, its RAM and its state file survive a real kexec',
  memory: '4G',
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run({ host, next, phase, keep, guest }) {
    const ram = guest('guest')
    await host.run('mkdir -p /mnt/guestmemfs')
    await phase('mount', () => host.run(MOUNT))
    await phase('touch, truncate', () =>
      host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram'),
    )
    keep('ls -l', await host.run('ls -l /mnt/guestmemfs/guest-ram'))

    const { pid } = await host.start('guest', QEMU)
    await phase('guest runs', () => ram.waitForTicks(20))
    keep(
      'mapped by',
      await host.run(`grep -A25 /dev/guestmemfs /proc/${pid}/smaps | grep -E 'KernelPageSize' | xargs`),
    )

    await phase('save', async () => {
      await host.run(monitor.save('/mnt/guestmemfs/qemu.sav'))
      await ram.log.waitForEnd(60_000)
    })
    await phase('freeze', () => host.run('guestmemfs freeze'))
    await phase('load next kernel', async () => {
      await host.atBoot(`mkdir -p /mnt/guestmemfs; ${MOUNT}`)
      await host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`)
    })
    await phase('kexec', () => host.jump('sync; kexec -e'))

    await phase('mount again', () => host.log('at-boot').waitFor(/on \/mnt\/guestmemfs, .* \(found again\)/))
    keep('found', await host.run('guestmemfs status; guestmemfs fsck guestmemfs'))
    await phase('restore', async () => {
      await host.start('guest', `${QEMU} -incoming defer`)
      await host.run(monitor.restore('/mnt/guestmemfs/qemu.sav'))
    })
    await phase('guest runs on', () => ram.waitForTicks(20))
    await phase('thaw', () => host.run('guestmemfs thaw'))
  },
}
