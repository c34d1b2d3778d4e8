/**
 * The seed's usage section as it is typed, on a kernel that hands memory over (KHO): mount, touch, truncate,
 * boot a KVM guest from it, save it into the mount, hand the pool over, kexec, mount again, restore. The seed
 * writes to /sys/kernel/kho/active, which was never merged, where this hands the pool over; it has 100M for a
 * file of 500M, which is one size here.
 */
import { seedCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { kexecByHand, restoreSeed, saveSeed, startSeed } from '../scenario/by-hand.ts'
import { expectHugePages } from '../scenario/mapping.ts'
import { expectArrived, expectFrozen, expectThawed, killServer, poolStatus } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS } from './luo.ts'

const QEMU = `exec ${seedCommand()}`

export const kho: Scenario = {
  about:
    'the seed, typed, with no memory set aside: LUO hands the pool of memfds over, names, owners and xattrs with it',
  tier: 'testbed',
  kernel: LUO_KERNEL,
  memory: '3G',
  append: LUO_WORDS,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, phase, keep, expect } = stage
    await phase('mount', () => host.run(MOUNT_MEMFDS))
    await phase('touch, truncate', () =>
      host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram'),
    )
    await host.run(`cd /mnt/guestmemfs && echo hello >note && chown 1000:1000 note && chmod 640 note
      setfattr -n user.colour -v blue note && ln note second-name && mkdir -p a/b && ln -s ../note a/link`)
    await expectHugePages(stage, 'mapped before', await startSeed(stage, QEMU), 'guest-ram')

    await saveSeed(stage)
    const said = await phase('hand over', () => host.run('guestmemfs handover'))
    expect('handed over', said, /frozen and handed over \(4 files, the image among them\)/)
    await expectHandedOver(stage, 'handed over, state')
    // The server may die at any time: its keeper holds the sessions, and so does the next server.
    await phase('server killed', async () => {
      await killServer(host)
      await host.run('stat -c %i /mnt/guestmemfs')
    })
    await expectHandedOver(stage, 'handed over, next server')
    await kexecByHand(stage, MOUNT_MEMFDS)

    await phase('mount again', () => host.log('at-boot').waitFor(/handed over by the former kernel/))
    await expectFrozen(stage, 'memfd')
    keep('files', await host.run('ls -lR /mnt/guestmemfs'))
    await expectNote(stage)
    await expectHugePages(stage, 'mapped after', await restoreSeed(stage, QEMU), 'guest-ram')
    await expectArrived(stage)
    await expectThawed(stage)
    await host.run('touch /mnt/guestmemfs/thawed')
    keep(
      'keeper',
      await host.run(
        'tail -n 5 /run/guestmemfs/pools/guestmemfs.log; dmesg | grep -iE "guestmemfs|luo|kho" | tail -n 20',
      ),
    )
  },
}

async function expectHandedOver({ host, expect }: Stage, what: string): Promise<void> {
  const { handover } = await poolStatus(host)
  expect(what, [handover?.step, handover?.state], ['image', 'done'])
}

/** Bytes, owner, mode, xattr, hard link and symlink. */
async function expectNote({ host, expect }: Stage): Promise<void> {
  const said = await host.run(`cd /mnt/guestmemfs; cat second-name; stat -c %u:%g:%a:%h note
    getfattr --only-values -n user.colour note; echo; readlink a/link; cat a/link`)
  expect('note', said.split('\n'), ['hello', '1000:1000:640:2', 'blue', '../note', 'hello'])
}
