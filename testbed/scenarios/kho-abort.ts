/**
 * A handover that is undone: a pool is preserved and unpreserved; an update that fails after the keeper has
 * preserved everything is rolled back; then the guest is updated.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { expectReady, expectUpdated, filesOf, liveUpdate } from '../scenario/live-update.ts'
import { keeperPid, killServer, poolStatus, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS } from './luo.ts'

/** Unloads the next kernel as soon as guest RAM is preserved: the jump finds no kernel. */
const UNLOAD = `until grep -q 'handed over: ram' /run/guestmemfs/pools/guestmemfs.log; do sleep 0.05; done; kexec -s -u`
const HANDOVER = 'getfattr --only-values -n guestmemfs.handover /mnt/guestmemfs'
const TAKEN_BACK = `for try in $(seq 200); do if ${HANDOVER} | grep -q '"state":"idle"'; then break; fi; [ $try -lt 200 ]; sleep 0.05; done`
const BUSY = /Device or resource busy/

export const khoAbort: Scenario = {
  about:
    'a handover that is unpreserved, one whose keeper dies, and an update that is rolled back; then one that works',
  tier: 'testbed',
  kernel: LUO_KERNEL,
  memory: '3G',
  append: LUO_WORDS,
  files: () => ({ guest: buildTinyGuest({ mebibytes: 32 }) }),
  async run(stage) {
    const { host, next, phase, expect, guest } = stage
    const ram = guest('guest')
    const qemu = guestCommand({ name: 'guest', mebibytes: 128 })
    await phase('mount', () => host.run(MOUNT_MEMFDS))
    await host.run(
      'echo kept >/mnt/guestmemfs/note; touch /mnt/guestmemfs/spare; truncate -s 8M /mnt/guestmemfs/spare',
    )
    await host.start('run', `exec guestmemfs run --name guest -- ${qemu}`)
    await phase('guest runs', () => ram.waitForTicks(5))

    await unpreserve(stage)
    await ram.waitForTicks(3)
    await loseKeeper(stage)
    await ram.waitForTicks(3)
    await rollBack(stage)

    await host.atBoot(`${MOUNT_MEMFDS}; guestmemfs resume`)
    await expectReady(stage, liveUpdate(next))
    await phase('live update', () => host.jump(liveUpdate(next)))
    await phase('guest runs on', () => ram.waitForTicks(10))
    await host.log('at-boot').waitFor(/BLACKOUT\n.* updated/)
    await expectUpdated(stage, ['guest'])
    expect('note', await host.run('cat /mnt/guestmemfs/note'), 'kept')
    await host.run('cd /mnt/guestmemfs; [ -e thawed ]; touch more')
  },
}

async function expectHandedOver({ host, expect }: Stage, what: string): Promise<void> {
  const { handover } = await poolStatus(host)
  expect(what, [handover?.step, handover?.state], ['image', 'done'])
}

/** Under a running guest: stores through its mapping go on, changes of files wait for the thaw. */
async function unpreserve(stage: Stage): Promise<void> {
  const { host, next, phase, expect, guest } = stage
  const said = await phase('hand over', () => host.run('guestmemfs handover'))
  expect('handed over', said, /frozen and handed over \(4 files, the image among them\)/)
  await guest('guest').waitForTicks(3)
  expect('cut', await refusal(host, 'truncate -s 4M /mnt/guestmemfs/spare'), BUSY)
  expect('deleted', await refusal(host, 'rm /mnt/guestmemfs/note'), BUSY)
  const update = await refusal(host, `guestmemfs live-update ${filesOf(next)} --reuse-cmdline`)
  expect('updated', update, /is frozen: 'guestmemfs thaw' it first/)
  await phase('server killed', () => killServer(host))
  await expectHandedOver(stage, 'handed over, next server')
  await phase('thaw', () => host.run(`guestmemfs thaw; ${TAKEN_BACK}`))
  // Everything can be changed again, what was preserved as well.
  await host.run('cd /mnt/guestmemfs; truncate -s 4M spare; truncate -s 16M spare; rm spare')
  expect('note, unpreserved', await host.run('cat /mnt/guestmemfs/note'), 'kept')
}

/** The keeper dies when all is preserved: the next one takes the server's descriptor of each session. */
async function loseKeeper(stage: Stage): Promise<void> {
  const { host, phase, expect } = stage
  const sessions = async () =>
    Number(await host.run(`ls -l /proc/${await keeperPid(host)}/fd | grep -c luo_session || true`))
  await host.run('guestmemfs hand-over')
  const before = await sessions()
  await phase('keeper killed', async () =>
    host.run(`kill -KILL ${await keeperPid(host)}; guestmemfs mount guestmemfs /mnt/guestmemfs`),
  )
  await expectHandedOver(stage, 'handed over, next keeper')
  expect('sessions of the next keeper', await sessions(), before)
  expect('sessions at all', before > 0, true)
  await host.run(`guestmemfs thaw; ${TAKEN_BACK}`)
  expect('sessions, unpreserved', await sessions(), 0)
}

/** Guests are saved, all is preserved; and then there is no kernel to jump into. */
async function rollBack({ host, next, phase, expect, guest }: Stage): Promise<void> {
  await host.run('rm -f /run/guestmemfs/pools/guestmemfs.log.1; : >/run/guestmemfs/pools/guestmemfs.log')
  await host.start('unload', UNLOAD)
  const said = await phase('no jump', () => refusal(host, liveUpdate(next)))
  expect('rolled back', said, /^guest +128M +rolled-back /m)
  expect('no update', said, /there was no update: /)
  await guest('guest').waitForTicks(3)
  await host.run(`${TAKEN_BACK}; touch /mnt/guestmemfs/thawed`)
  expect('files, rolled back', await host.run('ls /mnt/guestmemfs'), 'guest-ram\nnote\nthawed')
}
