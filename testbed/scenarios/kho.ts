/**
 * Owns the seed's usage section as it is typed, on a kernel that hands memory over (KHO): mount, touch, truncate, boot a KVM guest from
 * it, save it into the mount, hand the pool over, kexec, mount again, restore. Where the seed writes to /sys/kernel/kho/active, which
 * never was merged, the pool is handed over; where it says 100M for a file of 500M, the sizes agree here.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { GuestMonitor } from '../scenario/guest-monitor.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS } from './luo.ts'
import { SERVER_PID } from './server-pid.ts'

const QEMU = `exec qemu-system-x86_64 -machine pc-q35-10.0,memory-backend=pc.ram -accel kvm -cpu host -m 500M \\
  -object memory-backend-file,id=pc.ram,size=500M,mem-path=/mnt/guestmemfs/guest-ram,align=2M,share=on,prealloc=off \\
  -nodefaults -display none -serial stdio -monitor unix:/run/guest.monitor,server,nowait \\
  -kernel /opt/testbed/files/tiny-guest`

const monitor = new GuestMonitor('/run/guest.monitor')
/** Which pages the guest's RAM is mapped by. */
const mapped = (pid: number): string =>
  `grep -A25 guest-ram /proc/${pid}/smaps | grep -E '^(Rss|.*PmdMapped)' | xargs`

export const kho: Scenario = {
  about:
    'the seed, typed, with no memory set aside: LUO hands the pool of memfds over, names, owners and xattrs with it',
  kernel: LUO_KERNEL,
  memory: '3G',
  append: LUO_WORDS,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run({ host, next, phase, keep, guest }) {
    const ram = guest('guest')
    await phase('mount', () => host.run(MOUNT_MEMFDS))
    await phase('touch, truncate', () =>
      host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram'),
    )
    await host.run(`cd /mnt/guestmemfs && echo hello >note && chown 1000:1000 note && chmod 640 note
      setfattr -n user.colour -v blue note && ln note second-name && mkdir -p a/b && ln -s ../note a/link`)

    const before = await host.start('guest', QEMU)
    await phase('guest runs', () => ram.waitForTicks(20))
    keep('mapped before', await host.run(mapped(before.pid)))

    await phase('save', async () => {
      await host.run(monitor.save('/mnt/guestmemfs/qemu.sav'))
      await ram.log.waitForEnd(60_000)
    })
    keep('handed over', await phase('hand over', () => host.run('guestmemfs hand-over')))
    keep('status', await host.run('guestmemfs status | grep handover'))
    // The server may die at any time: what is handed over is held by its keeper, and by the next server.
    await phase('server killed', () => host.run(`kill -KILL $(${SERVER_PID}) && stat -c %i /mnt/guestmemfs`))
    await phase('load next kernel', async () => {
      await host.atBoot(MOUNT_MEMFDS)
      await host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`)
    })
    await phase('kexec', () => host.jump('sync; kexec -e'))

    await phase('mount again', () => host.log('at-boot').waitFor(/handed over by the former kernel/))
    keep('found', await host.run('guestmemfs status; guestmemfs fsck guestmemfs; ls -lR /mnt/guestmemfs'))
    await host.run(`cd /mnt/guestmemfs && [ "$(cat second-name)" = hello ] && [ "$(stat -c %u:%g:%a note)" = 1000:1000:640 ] &&
      [ "$(getfattr --only-values -n user.colour note)" = blue ] && [ "$(cat a/link)" = hello ]`)
    const after = await phase('restore', async () => {
      const qemu = await host.start('guest', `${QEMU} -incoming defer`)
      await host.run(monitor.restore('/mnt/guestmemfs/qemu.sav'))
      return qemu
    })
    await phase('guest runs on', () => ram.waitForTicks(20))
    keep('mapped after', await host.run(mapped(after.pid)))
    await phase('thaw', () => host.run('guestmemfs thaw && touch /mnt/guestmemfs/thawed'))
    keep(
      'keeper',
      await host.run(
        'tail -n 5 /run/guestmemfs/pools/guestmemfs.log; dmesg | grep -iE "guestmemfs|luo|kho" | tail -n 20',
      ),
    )
  },
}
