/**
 * The upgrade of the package by a live update: processes of the oldest readable tree hold the pool, its
 * guests and its sessions up to the jump, and the next kernel has only today's program. Before the jump,
 * today's keeper takes over a second pool that those processes have preserved, and unpreserves it.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuests } from '../guests/tiny-guest.ts'
import { OLDEST } from '../older-tree.ts'
import { updateOnce } from '../scenario/live-update.ts'
import { expectArrived, expectClean, listPools, poolStatus, printed } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS, mountMemfds } from './luo.ts'
import { countNames, differences, MAKE_TREE, TELL_TREE } from './tree.ts'

const OLDER = 'guestmemfs-older'
/** MiB of RAM, by name; each has another pattern. */
const GUESTS = { small: 32, odd: 66 } as const
/** More files, beside the tree, than one session takes. */
const MAKE_FILES = `mkdir -p /mnt/guestmemfs/tree/files; cd /mnt/guestmemfs/tree/files
  for number in $(seq 70); do head -c $((number * 37)) /dev/urandom >file-$number; done`
/** Without guest RAM, which read(2) cannot read. */
const TELL_OTHER = 'cd /mnt/other; md5sum text bytes; stat -c %s *'
const TELL_VMS = `cd /mnt/guestmemfs
  for ram in *-ram; do getfattr --only-values -n trusted.guestmemfs.vm $ram; echo; done`

export const khoFromOlder: Scenario = {
  about: `a pool and guests of commit ${OLDEST.slice(0, 7)}, handed over by it to today's program`,
  tier: 'long',
  kernel: LUO_KERNEL,
  memory: '3G',
  append: LUO_WORDS,
  older: OLDEST,
  files: () => buildTinyGuests(Object.keys(GUESTS), { mebibytes: 8, pace: 10 }),
  async run(stage) {
    const { host, phase, keep, expect, guest } = stage
    await phase('takeover while handed over', () => takeOverOutgoing(stage))

    await phase('mount', () => host.run(mountMemfds(OLDER)))
    const tree = await phase('files', () => host.run(`${MAKE_TREE}\n${MAKE_FILES}\n${TELL_TREE}`))
    keep('files', countNames(tree))
    for (const [name, mebibytes] of Object.entries(GUESTS))
      await host.start(
        `run-${name}`,
        `exec ${OLDER} run --name ${name} -- ${guestCommand({ name, mebibytes })}`,
      )
    const guests = Object.keys(GUESTS).map((name) => guest(name))
    await phase('guests run', () => Promise.all(guests.map((each) => each.waitForTicks(3))))
    keep('definitions', await host.run(TELL_VMS))
    await expectClean(stage, "fsck of today's, before")

    await host.atBoot(`${MOUNT_MEMFDS}; guestmemfs resume`)
    await phase('update by the older program', () => updateOnce(stage, guests, 'update', OLDER))
    await expectArrived(stage)
    expect('files that differ', differences(tree, await host.run(TELL_TREE)), [])
    const { identity, handover } = await poolStatus(host)
    expect('pool', [identity.frozen, handover?.step, handover?.state], [false, 'none', 'idle'])
    await expectClean(stage)
    await host.run('cd /mnt/guestmemfs; echo written >new; cat new; rm new')

    await phase("update by today's", () => updateOnce(stage, guests, 'second update'))
    await expectArrived(stage)
    expect('files that differ after a second update', differences(tree, await host.run(TELL_TREE)), [])
    await expectClean(stage)
  },
}

/** For a pool of its own, which is discarded: its former keeper dies when all of it is preserved. */
async function takeOverOutgoing({ host, expect }: Stage): Promise<void> {
  const MOUNT = 'mount other /mnt/other -o size=64M'
  await host.run(`mkdir -p /mnt/other; ${OLDER} ${MOUNT}
    cd /mnt/other; echo kept >text; head -c 4M /dev/urandom >bytes; truncate -s 8M ram`)
  const sums = await host.run(TELL_OTHER)
  const said = await host.run(`${OLDER} hand-over other`)
  expect('handed over by the former', said, /frozen and handed over \(4 files, the image among them\)/)
  const [former] = await listPools(host)
  await host.run(`kill -KILL ${former?.keeperPid}; sleep 0.3`)
  expect('taken over', await host.run(`guestmemfs ${MOUNT}`), /its keeper had died: a new one took over/)
  const { identity, handover } = await poolStatus(host, 'other')
  expect('still handed over', [identity.frozen, handover?.step, handover?.state], [true, 'image', 'done'])
  await host.run('guestmemfs thaw other')
  for (let look = 0; (await poolStatus(host, 'other')).handover?.state !== 'idle'; look++) {
    if (look === 100) throw new Error('what was handed over is not unpreserved')
    await host.run('sleep 0.1')
  }
  expect('files of the pool that was taken over', await host.run(TELL_OTHER), sums)
  expect('fsck of it', await host.run('guestmemfs fsck other'), 'other: clean')
  await host.run('echo more >/mnt/other/new')
  const { frozen } = await printed(host, 'handover', 'other')
  expect("handed over by today's", frozen, true)
  await host.run('guestmemfs thaw other; guestmemfs umount --discard other')
}
