/**
 * Owns the file system's first job, on a host of its own: the usage section of guestmemfs-seed.rst as it is typed,
 * with a guest on real KVM, and the server killed underneath it. No kexec here.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { GuestMonitor } from '../scenario/guest-monitor.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { SERVER_PID } from './server-pid.ts'

const QEMU = `exec qemu-system-x86_64 -machine pc-q35-10.0,memory-backend=pc.ram -accel kvm -cpu host -m 500M \\
  -object memory-backend-file,id=pc.ram,size=500M,mem-path=/mnt/guestmemfs/guest-ram,align=2M,share=on,prealloc=off \\
  -nodefaults -display none -serial stdio -monitor unix:/run/guest.monitor,server,nowait \\
  -kernel /opt/testbed/files/tiny-guest`

const monitor = new GuestMonitor('/run/guest.monitor')

export const mount: Scenario = {
  about:
    'the seed, typed: mount, truncate, boot a KVM guest from it, save, restore; the server killed on the way',
  memory: '3G',
  append: 'guestmemfs=1G',
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run({ host, phase, keep, guest }) {
    const ram = guest('guest')
    await host.run('echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled; mkdir -p /mnt/guestmemfs')
    await phase('mount', () => host.run('guestmemfs mount guestmemfs /mnt/guestmemfs'))
    await host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram')
    keep('df', await host.run('df -B2M --output=size,used,avail /mnt/guestmemfs | tail -1 | xargs'))

    const { pid } = await host.start('guest', QEMU)
    await phase('guest runs', () => ram.waitForTicks(20))
    keep(
      'mapped by',
      await host.run(`grep -A25 guest-ram /proc/${pid}/smaps | grep -E '^(Rss|.*PmdMapped)' | xargs`),
    )

    await phase('server killed', async () => {
      await host.run(`kill -KILL $(${SERVER_PID})`)
      await host.run('stat /mnt/guestmemfs/guest-ram')
      await ram.waitForTicks(5)
    })

    await phase('save', async () => {
      await host.run(monitor.save('/mnt/guestmemfs/qemu.sav'))
      await ram.log.waitForEnd(10_000)
    })
    await phase('restore', async () => {
      await host.start('guest', `${QEMU} -incoming defer`)
      await host.run(monitor.restore('/mnt/guestmemfs/qemu.sav'))
    })
    await phase('guest runs on', () => ram.waitForTicks(20))
  },
}
