/**
 * The part of `kho-refuse` after the jump: another process opens the device first, and takes sessions. Of one
 * pool it takes the session with the ordinary files, of the other the index. The rest of the first pool must
 * be served; no empty pool may replace the second one.
 */
import { liveUpdate } from '../scenario/live-update.ts'
import { expectArrived, mapOf, printed, refusal } from '../scenario/pool.ts'
import type { Stage } from '../scenario/scenario.ts'
import { MOUNT_MEMFDS } from './luo.ts'

/** Beside the pool of the guest. */
export const MOUNT_OTHER = 'mkdir -p /mnt/other; guestmemfs mount other /mnt/other -o size=256M'
export const SESSION = 'node /opt/testbed/guestmemfs/testbed/programs/luo/session.ts'
/** The name of the index session of the guest's pool; other sessions have a number after it. */
export const THEIRS = 'guestmemfs:guestmemfs'

export async function loseSessions(stage: Stage): Promise<void> {
  const { host, first, phase, expect, guest } = stage
  await phase('jump', () => host.jump(liveUpdate(first)))
  const stolen = await host.run(`${SESSION} steal ${THEIRS}:2
    (exec ${SESSION} find guestmemfs:other >/run/thief 2>&1 &); sleep 5; cat /run/thief`)
  expect('stolen', stolen.split('\n'), [`has ${THEIRS}:2`, 'has guestmemfs:other'])
  const mounted = await phase('mount', () => host.run(MOUNT_MEMFDS))
  expect('mounted', mounted, /handed over by the former kernel/)
  // The note, and the guest's device state.
  await expectArrived(stage, 2)
  await expectLostNote(stage)
  await expectSavedGuest(stage)
  await host.run('guestmemfs thaw || true; cd /mnt/guestmemfs; : >note; echo again >note')
  expect('note, written again', await host.run('cat /mnt/guestmemfs/note'), 'again')

  const other = await phase('other', () => refusal(host, MOUNT_OTHER))
  expect('other', other, /another process has taken what the former kernel handed over for it/)
  await host.run(`${MOUNT_OTHER},new`)
  expect('files of the new pool', await host.run('ls -A /mnt/other | wc -l'), '0')
  if (guest('guest').ticks.length === 0) throw new Error('the guest never ran')
}

/** The file exists; reading it must be an error, and not give zeros. */
async function expectLostNote({ host, expect }: Stage): Promise<void> {
  expect('note is', (await mapOf(host, 'note')).kind, 'lost')
  expect('note, read', await refusal(host, 'cat /mnt/guestmemfs/note'), /Input\/output error/)
  // The pool is still frozen, as before the jump.
  await refusal(host, 'truncate -s 1M /mnt/guestmemfs/note')
}

/** The guest's device state is lost and its RAM is not: `resume` must not start it. */
async function expectSavedGuest({ host, phase, expect }: Stage): Promise<void> {
  const said = await phase('resume', () => refusal(host, 'guestmemfs resume'))
  expect('resume', said, /^guest: saved$/m)
  expect('resume, why', said, /^guest: EIO: i\/o error, read; its RAM is kept$/m)
  const { kind, sizeBytes } = await mapOf(host, 'guest-ram')
  expect('guest RAM', { kind, sizeBytes }, { kind: 'file', sizeBytes: 128 * 2 ** 20 })
  const { vms } = await printed(host, 'vms')
  expect(
    'guests',
    vms.map(({ name, state }) => `${name}: ${state}`),
    ['guest: saved'],
  )
}
