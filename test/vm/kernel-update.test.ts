/**
 * Tests of a kernel update's steps before the jump, and that a failure undoes all of them; on a pool of
 * memfds, as no test here jumps. The testbed tests the jump.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { getxattr } from '../../src/linux/xattr.ts'
import { readUpdateRecord } from '../../src/liveupdate/kernel/update-record.ts'
import { type UpdateScope, UpdateSteps } from '../../src/liveupdate/kernel/update-steps.ts'
import { readVms } from '../../src/qemu/vm-list.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { guestmemfs, printedIn } from '../mount/support.ts'
import { faultyQemu, untilRead } from './faulty-qemu.ts'
import { startPrivateRamVm } from './private-ram-vm.ts'
import { secondMonitor, slowSaves } from './slow-saves.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  qemuPid,
  scratchFolder,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
} from './support.ts'

/** The test's own time limit is over long before. */
const NEVER_MS = 3_600_000

const isFrozen = (pool: VmPool): boolean =>
  Buffer.from(getxattr(pool.mountPoint, 'trusted.guestmemfs.frozen') as Uint8Array).toString() === '1'

function stepsOf(pool: VmPool, guests: readonly TestVm[], more: Partial<UpdateScope> = {}): UpdateSteps {
  const { vms } = readVms(guests.map(({ ramFile }) => ramFile))
  const scope = {
    vms,
    recorded: guests.map(({ ramFile }) => ramFile),
    pools: [{ pool: pool.pool, mountPoint: pool.mountPoint, by: 'carve-out' as const }],
    lines: new Map(),
    timeoutMs: 20_000,
    patienceMs: 10_000,
    left: [],
    ...more,
    change: { via: 'kexec', before: '6.12', next: '7.3' } as const,
  }
  return new UpdateSteps(scope, Date.now())
}

async function twoGuests(t: TestContext, pool: VmPool): Promise<TestVm[]> {
  return [await startTinyVm(t, pool, 'one', { seed: 1 }), await startTinyVm(t, pool, 'two', { seed: 2 })]
}

async function allRunOn(guests: readonly TestVm[]): Promise<void> {
  for (const { serial } of guests) {
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  }
}

test('all the way to the jump, and back: every guest in the QEMU it had', async (t) => {
  const pool = await mountVmPool(t)
  const guests = await twoGuests(t, pool)
  const before = guests.map(({ name }) => qemuPid(name))
  const steps = stepsOf(pool, guests)
  steps.writeUpdateRecord()
  await steps.suspendAll()
  steps.freeze()
  steps.releaseLocks()
  steps.writeUpdateRecord()
  assert.ok(isFrozen(pool))
  assert.throws(() => writeFileSync(pool.path('late'), ''), /EBUSY/)
  assert.deepEqual(Object.keys(readUpdateRecord(pool.mountPoint)?.savedAtMs ?? {}).length, 2)
  const ticks = guests.map(({ serial }) => serial.ticks().length)

  const timelines = await steps.rollBack()
  assert.deepEqual(
    timelines.map(({ outcome, problem }) => [outcome, problem]),
    [
      ['rolled-back', null],
      ['rolled-back', null],
    ],
  )
  for (const [index, { serial }] of guests.entries())
    assert.ok(serial.ticks().length >= (ticks[index] as number))
  await allRunOn(guests)
  assert.deepEqual(
    guests.map(({ name }) => qemuPid(name)),
    before,
  )
  assert.equal(isFrozen(pool), false)
  assert.equal(readUpdateRecord(pool.mountPoint), undefined)
  assert.deepEqual(readdirSync(pool.mountPoint).sort(), ['one', 'two'], 'no state file is left')
})

test('while an update is undone no other command gets a guest of it', async (t) => {
  const pool = await mountVmPool(t)
  const guests = await twoGuests(t, pool)
  const steps = stepsOf(pool, guests)
  steps.writeUpdateRecord()
  await steps.suspendAll()
  const { name } = guests[0] as TestVm
  const words = [join(import.meta.dirname, 'take-lock.ts'), vmPaths(name).updateLock]
  const other = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...words])
  t.after(() => other.kill('SIGKILL'))
  const [said] = await once(other.stdout, 'data')
  assert.equal(String(said), 'trying\n')
  assert.deepEqual(
    (await steps.rollBack()).map(({ outcome, problem }) => [outcome, problem]),
    guests.map(() => ['rolled-back', null]),
  )
  other.kill('SIGKILL')
  await allRunOn(guests)
})

for (const command of ['resume', 'live-update --abort'])
  test(`killed before the jump: ${command} thaws, and every guest goes on`, async (t) => {
    const pool = await mountVmPool(t)
    const guests = await twoGuests(t, pool)
    const steps = stepsOf(pool, guests)
    steps.writeUpdateRecord()
    await steps.suspendAll()
    steps.freeze()
    // As after the death of the command: no locks, and no more steps. The test ends one QEMU, too, as a
    // shutdown would.
    steps.releaseLocks()
    await monitor(guests[0]?.name as string, 'quit').catch(() => {})
    await guests[0]?.ended

    const { status, stdout, stderr } = await guestmemfs(...command.split(' '), pool.mountPoint, '--json')
    assert.equal(status, 0, stderr)
    const [report] = printedIn(command === 'resume' ? command : 'live-update', stdout).reports
    assert.deepEqual(
      report?.vms.map(({ outcome }) => outcome),
      ['resumed', 'resumed'],
    )
    assert.equal(report?.kind, 'resume', 'there was no other kernel')
    assert.equal(isFrozen(pool), false)
    assert.equal(readUpdateRecord(pool.mountPoint), undefined)
    assert.deepEqual(
      (await listVms(pool)).map(({ state }) => state),
      ['running', 'running'],
    )
    // The first guest lost its terminal with its QEMU.
    await allRunOn(guests.slice(1))
  })

test('a paused guest whose save was undone is in postmigrate: the report says so, and what the next save needs', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'paused')
  const status = async () => ((await monitor(vm.name, 'query-status')) as { status: string }).status
  const before = qemuPid(vm.name)
  await monitor(vm.name, 'stop')
  const steps = stepsOf(pool, [vm])
  await steps.suspendAll()
  const [timeline] = await steps.rollBack()
  assert.equal(timeline?.outcome, 'rolled-back')
  assert.match(
    timeline?.problem ?? '',
    /^it was paused before, and is in QEMU's state 'postmigrate' now: .* \('cont', then 'stop'\)$/,
  )
  assert.deepEqual([qemuPid(vm.name), await status()], [before, 'postmigrate'])
  // The advice in that line is right: the guest can be updated after `cont` and `stop` alone.
  const refused = await updateVmm(pool)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /state 'postmigrate'/)
  await monitor(vm.name, 'cont')
  await vm.serial.moreTicks(1)
  await monitor(vm.name, 'stop')
  const { status: updated, stderr } = await updateVmm(pool)
  assert.deepEqual([updated, await status()], [0, 'paused'], stderr)
  await monitor(vm.name, 'cont')
  await allRunOn([vm])
})

test('one guest cannot be saved: it and the others go on, and nothing is frozen', async (t) => {
  const pool = await mountVmPool(t)
  const guests = await twoGuests(t, pool)
  const steps = stepsOf(pool, guests)
  steps.writeUpdateRecord()
  await monitor(guests[1]?.name as string, 'quit').catch(() => {})
  await guests[1]?.ended
  await assert.rejects(steps.suspendAll(), /VM two-\d+: it is (gone|dead) now/)
  const [timeline, ...more] = await steps.rollBack()
  assert.deepEqual([timeline?.outcome, more.length], ['rolled-back', 0])
  await allRunOn(guests.slice(0, 1))
  assert.equal(readUpdateRecord(pool.mountPoint), undefined)
  assert.equal(existsSync(pool.path('one.vmstate')), false)
})

test('a guest that was started since the plan is found before the jump, and no guest is lost', async (t) => {
  const pool = await mountVmPool(t)
  const planned = await startTinyVm(t, pool, 'planned')
  const steps = stepsOf(pool, [planned])
  steps.writeUpdateRecord()
  const late = await startTinyVm(t, pool, 'late', { seed: 2 })
  await steps.suspendAll()
  steps.freeze()
  await assert.rejects(steps.checkNoNewGuest(), /VM late-\d+ was started while the update was under way/)
  await steps.rollBack()
  await allRunOn([planned, late])
})

test('a VM of the same name in another pool gets no command', async (t) => {
  const [pool, other] = [await mountVmPool(t), await mountVmPool(t)]
  const dead = await startTinyVm(t, other, 'twin')
  process.kill(qemuPid(dead.name), 'SIGKILL')
  await dead.ended
  const alive = await startTinyVm(t, pool, 'twin')
  const pid = qemuPid(alive.name)
  assert.deepEqual([(await listVms(other))[0]?.state, (await listVms(pool))[0]?.state], ['dead', 'running'])
  const { status, stderr } = await updateVmm(other)
  assert.equal(status, 1)
  assert.match(stderr, /no VM runs there/)
  assert.equal(qemuPid(alive.name), pid)
  await allRunOn([alive])
})

test('an update ends where a QEMU hangs when all are to be saved, and all guests go on', async (t) => {
  const pool = await mountVmPool(t)
  const guests = await twoGuests(t, pool)
  const hung = qemuPid((guests[0] as TestVm).name)
  const steps = stepsOf(pool, guests, { patienceMs: 500 })
  steps.writeUpdateRecord()
  process.kill(hung, 'SIGSTOP')
  try {
    await assert.rejects(steps.suspendAll(), /VM one-\d+: .*no (greeting|answer) within 500 ms/)
  } finally {
    process.kill(hung, 'SIGCONT')
  }
  const timelines = await steps.rollBack()
  assert.deepEqual(
    timelines.map(({ outcome }) => outcome),
    ['rolled-back'],
  )
  await allRunOn(guests)
})

test('a guest whose save has no end delays the others for --patience, not for the whole timeout', {
  timeout: 90_000,
}, async (t) => {
  const pool = await mountVmPool(t, '384M')
  const folder = scratchFolder(t)
  const slow = faultyQemu(folder)
  const guests = [
    await startTinyVm(t, pool, 'quick', { seed: 1 }),
    // Its monitor answers, and its migration goes on far longer than the test.
    await startPrivateRamVm(t, pool, 'hangs', secondMonitor(folder)),
    // Each answer comes in time, all of them together do not.
    await startTinyVm(t, pool, 'slow', { seed: 3, qemu: slow.path }),
  ] as const
  await Promise.all([slowSaves(t, folder, 1000), untilRead(guests[2].name)])
  slow.set({ role: 'old', connection: 1, command: '', how: 'delay' })
  const before = guests.map(({ name }) => qemuPid(name))
  const steps = stepsOf(pool, guests, { timeoutMs: NEVER_MS, patienceMs: 1500 })
  steps.writeUpdateRecord()
  const late =
    'it was not saved within 1.5 s, while the other guests are stopped: give it more with --patience'
  await assert.rejects(steps.suspendAll(), ({ message }: Error) => {
    const lines = message.split('; ').sort()
    assert.deepEqual(lines, [`VM ${guests[1].name}: ${late}`, `VM ${guests[2].name}: ${late}`])
    return true
  })
  slow.set(undefined)
  const timelines = await steps.rollBack()
  assert.deepEqual(
    timelines.map(({ outcome, problem }) => [outcome, problem]),
    guests.map(() => ['rolled-back', null]),
  )
  assert.deepEqual(
    guests.map(({ name }) => qemuPid(name)),
    before,
  )
  await allRunOn(guests)
  assert.deepEqual(readdirSync(pool.mountPoint).sort(), ['hangs', 'quick', 'slow'], 'no state file is left')
})

test('a guest that the operator leaves is not saved, and does not stop the update', async (t) => {
  const pool = await mountVmPool(t)
  const [kept, left] = (await twoGuests(t, pool)) as [TestVm, TestVm]
  const steps = stepsOf(pool, [kept], { recorded: [kept.ramFile, left.ramFile], left: [left.name] })
  steps.writeUpdateRecord()
  assert.deepEqual(readUpdateRecord(pool.mountPoint)?.left, [left.name], 'the next kernel reports it')
  await steps.suspendAll()
  steps.freeze()
  steps.checkNoNewGuest()
  await left.serial.moreTicks(1)
  await steps.rollBack()
  await allRunOn([kept, left])
})
