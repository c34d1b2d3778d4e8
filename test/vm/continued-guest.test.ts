/**
 * Tests of a saved guest that another client of its QEMU continues before the update has ended: its state is
 * older than its RAM then, so it is never loaded, and the guest runs on where it runs.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { type TestContext, test } from 'node:test'
import { UpdateSteps } from '../../src/liveupdate/kernel/update-steps.ts'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { readVms } from '../../src/qemu/vm-list.ts'
import { type FaultyGuest, type Message, messagesMet } from './fault-sweep.ts'
import { faultyQemu, untilRead } from './faulty-qemu.ts'
import {
  monitor,
  mountVmPool,
  qemuPid,
  quitFirst,
  resumeVms,
  scratchFolder,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
} from './support.ts'

const CONTINUED = /another client of its QEMU has continued it since it was saved \(state 'running'\)/

async function suspended(t: TestContext) {
  const pool = await mountVmPool(t)
  const guests = [
    await startTinyVm(t, pool, 'one', { seed: 1 }),
    await startTinyVm(t, pool, 'two', { seed: 2 }),
  ] as const
  const recorded = guests.map(({ ramFile }) => ramFile)
  const steps = new UpdateSteps(
    {
      vms: readVms(recorded).vms,
      recorded,
      pools: [{ pool: pool.pool, mountPoint: pool.mountPoint, by: 'carve-out' }],
      ...{ lines: new Map(), timeoutMs: 20_000, patienceMs: 10_000, left: [] },
      change: { via: 'kexec', before: '6.12', next: '7.3' },
    },
    Date.now(),
  )
  steps.writeUpdateRecord()
  await steps.suspendAll()
  steps.freeze()
  steps.releaseLocks()
  return { pool, guests, steps, before: guests.map(({ name }) => qemuPid(name)) }
}

/** They run, and nothing of an update is left. */
async function runOn(pool: VmPool, guests: readonly TestVm[]): Promise<void> {
  for (const { name, serial, ramFile } of guests) {
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
    const { mode } = (await monitor(name, 'query-migrate-parameters')) as { mode: string }
    const definition = readDefinition(ramFile)
    assert.deepEqual([mode, definition?.saved, definition?.underUpdate], ['normal', null, undefined])
  }
  assert.deepEqual(readdirSync(pool.mountPoint).sort(), guests.map(({ ramFile }) => basename(ramFile)).sort())
}

test('before the jump one that was continued is found, and all of them run on', async (t) => {
  const { pool, guests, steps, before } = await suspended(t)
  await steps.checkStillStopped()
  await monitor(guests[1].name, 'cont')
  await guests[1].serial.moreTicks(1)
  await assert.rejects(steps.checkStillStopped(), ({ name, message }: Error) => {
    assert.equal(name, 'UsageError')
    assert.match(message, new RegExp(`^VM ${guests[1].name}: ${CONTINUED.source}$`))
    return true
  })
  assert.deepEqual(
    (await steps.rollBack()).map(({ outcome, problem }) => [outcome, problem]),
    guests.map(() => ['rolled-back', null]),
  )
  assert.deepEqual(
    guests.map(({ name }) => qemuPid(name)),
    before,
  )
  await runOn(pool, guests)
})

test('one whose QEMU has ended is saved, and holds up no jump', async (t) => {
  const { guests, steps } = await suspended(t)
  await monitor(guests[0].name, 'quit').catch(() => {})
  await guests[0].ended
  await steps.checkStillStopped()
  assert.deepEqual(
    (await steps.rollBack()).map(({ outcome }) => outcome),
    ['rolled-back', 'rolled-back'],
  )
})

test('after an update that was killed, resume takes the state of one that runs off the record', async (t) => {
  const { pool, guests, before } = await suspended(t)
  await monitor(guests[0].name, 'cont')
  const { status, report, stderr } = await resumeVms(pool)
  assert.deepEqual([status, report.vms.map(({ outcome }) => outcome)], [0, ['resumed', 'resumed']], stderr)
  assert.deepEqual(
    guests.map(({ name }) => qemuPid(name)),
    before,
  )
  await runOn(pool, guests)
})

/** The last question of an update to the QEMU that it ends. */
function lastLook(guest: FaultyGuest): Message {
  const met = messagesMet(guest).filter(({ role }) => role === 'old')
  const connection = met.find(({ command }) => command === 'migrate')?.connection
  const last = met.filter((one) => one.connection === connection && one.command === 'query-status').at(-1)
  assert.ok(last)
  return last
}

for (const order of ['its next QEMU first', 'its old QEMU first'] as const)
  test(`an update of QEMU alone, ${order}: one that was continued keeps its QEMU`, async (t) => {
    const pool = await mountVmPool(t)
    const faulty = faultyQemu(scratchFolder(t))
    const options = order === 'its old QEMU first' ? quitFirst(scratchFolder(t)) : []
    const vm = { ...(await startTinyVm(t, pool, 'faulty', { qemu: faulty.path, options })), faulty }
    await untilRead(vm.name)
    faulty.set(undefined)
    assert.equal((await updateVmm(pool)).status, 0)
    const pid = qemuPid(vm.name)
    await untilRead(vm.name)
    faulty.set({ ...lastLook(vm), how: 'claim', claim: { status: 'running', running: true } })
    const { status, report } = await updateVmm(pool)
    faulty.set(undefined)
    assert.deepEqual([status, report.vms[0]?.outcome], [1, 'rolled-back'])
    assert.match(report.vms[0]?.problem ?? '', CONTINUED)
    assert.equal(qemuPid(vm.name), pid)
    // The first update took its terminal in one order; its monitor answers in both.
    assert.deepEqual(await monitor(vm.name, 'query-status'), { status: 'running', running: true })
    assert.deepEqual(readDefinition(vm.ramFile)?.saved, null)
  })
