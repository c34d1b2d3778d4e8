/**
 * Owns what must never lose a guest: updates that are refused before any guest is paused, one that fails after all of them were, and
 * the guest that ticks on through all of it. One boot; nothing here ends in a kexec.
 */

import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'
import { refuseImages, refuseRegions, refuseUses } from './refuse-pools.ts'

const QEMU = `qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m 128M \\
  -object memory-backend-file,id=pc.ram,size=128M,mem-path=/mnt/guestmemfs/guest-ram,share=on,prealloc=off \\
  -nodefaults -display none -kernel /opt/testbed/files/tiny-guest \\
  -chardev file,id=serial,path=/run/testbed/logs/guest,append=on -serial chardev:serial`

const BLACKLIST = 'modprobe.blacklist=kmem'
const COMMON = 'console=ttyS0 root=/dev/vda'
/** Takes the next kernel away as soon as it is there. */
const UNLOAD = 'until [ $(cat /sys/kernel/kexec_loaded) = 1 ]; do sleep 0.1; done; kexec -s -u'

/** As a kernel that was started by Secure Boot does by itself; there is no way back. */
const LOCK_DOWN = `mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
  echo integrity >/sys/kernel/security/lockdown`
/** Whatever signature it had fits no more. */
const UNSIGNED = '/run/unsigned'

/** One command each; what must be said, every bit in a line of its own. */
type Case = readonly [words: string, ...says: RegExp[]]

function cases({ next }: Pick<Stage, 'next'>): Record<string, Case> {
  const files = `--kernel ${next.vmlinuz} --initrd ${next.initramfs}`
  const append = (words: string) => `${files} --append '${COMMON} ${words}'`
  return {
    'no carve-out, no blacklist': [
      append(''),
      /does not set it aside: give it memmap=1G%4G-1\+0xefffffff/,
      /add modprobe\.blacklist=kmem/,
    ],
    'another size': [append(`memmap=512M%4G-1+0xefffffff ${BLACKLIST}`), /sets aside 512M at 4G instead/],
    'another place': [append(`memmap=1G%4608M-1+0xefffffff ${BLACKLIST}`), /sets aside .* instead/],
    'another type': [append(`memmap=1G$4G ${BLACKLIST}`), /does not set it aside/],
    // KASLR stops reading at the first word, and so learns of no limit.
    'KASLR unsafe': [
      append(`memmap=exactmap,2G@0,1G@4G,1G%4G-1+0xefffffff ${BLACKLIST}`),
      /may put itself into the carve-out at 4G \(KASLR\): add memmap=4G%0-0xeffffffe\+1/,
    ],
    'no files, no systemd': [
      '--kernel /nowhere --initrd /nowhere --via systemctl',
      /kernel \/nowhere is missing/,
      /initrd \/nowhere is missing/,
      /needs systemd, which does not run here/,
    ],
    'not a kernel': ['--kernel /etc/passwd', /is not a Linux kernel image/],
  }
}

export const refuse: Scenario = {
  about:
    'updates that would lose guests are refused before one is paused; one that fails late is rolled back',
  memory: '4G',
  timeoutMs: 1500_000,
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, next, phase, keep, guest } = stage
    const ram = guest('guest')
    await host.run('mkdir -p /mnt/guestmemfs')
    await refuseRegions(stage)
    await host.run('guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax')
    await host.start('run', `exec guestmemfs run --name guest -- ${QEMU}`)
    await phase('guest runs', () => ram.waitForTicks(5))
    const { pid } = JSON.parse(await host.run('guestmemfs vms --json'))[0]

    /** What it said; throws unless it failed and said all of that. */
    const refused = async (words: string, ...says: RegExp[]): Promise<string[]> => {
      const said = (await host.run(`! guestmemfs live-update ${words} 2>&1`)).split('\n')
      return says.map((wanted) => {
        const line = said.find((each) => wanted.test(each))
        if (line === undefined)
          throw new Error(`live-update ${words} did not say ${wanted}: ${said.join('\n')}`)
        return line
      })
    }
    const runsOn = async (): Promise<void> => {
      await ram.waitForTicks(2)
      const [vm] = JSON.parse(await host.run('guestmemfs vms --json'))
      if (vm.state !== 'running' || vm.pid !== pid) throw new Error(`the guest is ${JSON.stringify(vm)}`)
    }
    for (const [name, [words, ...says]] of Object.entries(cases(stage)))
      keep(name, await phase(name, () => refused(words, ...says)))
    await runsOn()

    const good = `--kernel ${next.vmlinuz} --initrd ${next.initramfs}`
    await refuseUses(stage, `guestmemfs live-update ${good}`)
    await runsOn()
    await host.run('guestmemfs freeze')
    keep('frozen', await phase('frozen', () => refused(good, /is frozen/)))
    await host.run('guestmemfs thaw')

    // The kernel is loaded, the guest is saved, the pool is frozen; and then there is nowhere to jump to.
    await host.start('unload', UNLOAD)
    keep('no jump', await phase('no jump', () => refused(good, /refused the jump: EINVAL/, /rolled-back/)))
    await runsOn()
    await host.run('touch /mnt/guestmemfs/thawed; ! ls /mnt/guestmemfs/*.vmstate')

    await host.run(LOCK_DOWN)
    const unsigned = `--kernel ${UNSIGNED} --initrd ${next.initramfs}`
    await host.run(`cp ${next.vmlinuz} ${UNSIGNED}; printf x >>${UNSIGNED}`)
    const locked = /does not load \/run\/unsigned: it is locked down/
    keep('locked down', await phase('locked down', () => refused(unsigned, locked)))
    await runsOn()
    keep(
      'disabled',
      await phase('disabled', async () => {
        await host.run('echo 1 >/proc/sys/kernel/kexec_load_disabled')
        return await refused(good, /kexec_load_disabled/)
      }),
    )
    await runsOn()

    await host.run(`kill -KILL ${pid}`)
    await refuseImages(stage)
  },
}
