/**
 * Many guests without a carve-out: four of different sizes and some two hundred files in several live update
 * sessions, through three updates of the host's kernel in a row.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuests } from '../guests/tiny-guest.ts'
import { updateOnce } from '../scenario/live-update.ts'
import { expectArrived, expectClean } from '../scenario/pool.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS } from './luo.ts'
import { countNames, differences, MAKE_TREE, TELL_TREE } from './tree.ts'

const UPDATES = 3
/** MiB of RAM, by name; each has another pattern. */
const GUESTS = { small: 32, odd: 66, middle: 128, large: 256 } as const
/** More files, beside the tree, than one session takes. */
const MAKE_FILES = `mkdir -p /mnt/guestmemfs/tree/files; cd /mnt/guestmemfs/tree/files
  for number in $(seq 200); do head -c $((number * 37)) /dev/urandom >file-$number; done`

export const khoMany: Scenario = {
  about:
    'four guests and 200 files, handed over by LUO in several sessions, through three live updates in a row',
  tier: 'long',
  kernel: LUO_KERNEL,
  memory: '4G',
  append: LUO_WORDS,
  files: () => buildTinyGuests(Object.keys(GUESTS), { mebibytes: 8, pace: 10 }),
  async run(stage) {
    const { host, phase, keep, expect, guest } = stage
    await phase('mount', () => host.run(MOUNT_MEMFDS))
    const tree = await phase('files', () => host.run(`${MAKE_TREE}\n${MAKE_FILES}\n${TELL_TREE}`))
    keep('files', countNames(tree))
    for (const [name, mebibytes] of Object.entries(GUESTS))
      await host.start(
        `run-${name}`,
        `exec guestmemfs run --name ${name} -- ${guestCommand({ name, mebibytes })}`,
      )
    const guests = Object.keys(GUESTS).map((name) => guest(name))
    await phase('guests run', () => Promise.all(guests.map((each) => each.waitForTicks(3))))
    await host.atBoot(`${MOUNT_MEMFDS}; guestmemfs resume`)
    for (let update = 1; update <= UPDATES; update++) {
      await phase(`update ${update}`, () => updateOnce(stage, guests, `update ${update}`))
      expect(`files that differ after update ${update}`, differences(tree, await host.run(TELL_TREE)), [])
    }
    await expectClean(stage)
    await expectArrived(stage)
    keep('sessions', await host.run('grep -h sessions /run/guestmemfs/pools/*.log || true'))
  },
}
