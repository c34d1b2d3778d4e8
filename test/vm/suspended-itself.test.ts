/**
 * Tests of a guest that has suspended itself (ACPI S3): through an update of its QEMU, and one of the kernel
 * that is undone, it stays suspended, where its wake-up events still reach it. Paused, it would not wake up.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { UpdateSteps } from '../../src/liveupdate/kernel/update-steps.ts'
import { readDefinition, type VmDefinition, writeDefinition } from '../../src/qemu/vm-definition.ts'
import { readVms } from '../../src/qemu/vm-list.ts'
import { guestmemfs, until } from '../mount/support.ts'
import {
  monitor,
  mountVmPool,
  qemuPid,
  resumeVms,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
} from './support.ts'

const LAST_TICK = 3

const statusOf = async ({ name }: TestVm): Promise<string> =>
  ((await monitor(name, 'query-status')) as { status: string }).status

async function startSuspended(t: TestContext, pool: VmPool): Promise<TestVm> {
  const vm = await startTinyVm(t, pool, 'suspended', { suspendAfter: LAST_TICK })
  await until('the guest suspends itself', async () => (await statusOf(vm)) === 'suspended')
  return vm
}

/** Its place to wake up at was never set, so that it still has all of its ticks is all that it can tell. */
function expectUnbroken({ serial }: TestVm): void {
  assert.equal(serial.findBreak(), undefined)
  assert.equal(serial.ticks().length, LAST_TICK)
}

const scopeOf = (pool: VmPool, { ramFile }: TestVm) => ({
  vms: readVms([ramFile]).vms,
  recorded: [ramFile],
  pools: [{ pool: pool.pool, mountPoint: pool.mountPoint, by: 'carve-out' as const }],
  lines: new Map(),
  timeoutMs: 20_000,
  patienceMs: 10_000,
  left: [],
  change: { via: 'kexec', before: '6.12', next: '7.3' } as const,
})

test('a guest that has suspended itself is suspended in its next QEMU', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startSuspended(t, pool)
  const before = qemuPid(vm.name)
  const { status, stderr, report } = await updateVmm(pool)
  assert.deepEqual([status, report.vms[0]?.outcome, report.vms[0]?.problem], [0, 'updated', null], stderr)
  assert.notEqual(qemuPid(vm.name), before)
  assert.equal(await statusOf(vm), 'suspended')
  expectUnbroken(vm)
  // As of a guest that wakes up: a paused one refuses it.
  await monitor(vm.name, 'system_wakeup')
})

test('so is one whose save for a new kernel was undone, in another QEMU', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startSuspended(t, pool)
  const before = qemuPid(vm.name)
  const steps = new UpdateSteps(scopeOf(pool, vm), Date.now())
  await steps.suspendAll()
  // By it no QEMU is given the guest that would run it.
  assert.equal(readDefinition(vm.ramFile)?.saved?.isSuspended, true)
  const [timeline] = await steps.rollBack()
  assert.deepEqual([timeline?.outcome, timeline?.problem], ['rolled-back', null])
  // The one that had saved it would abort.
  assert.notEqual(qemuPid(vm.name), before)
  assert.equal(await statusOf(vm), 'suspended')
  expectUnbroken(vm)
  await monitor(vm.name, 'system_wakeup')
})

test('one whose update was killed right after its save gets another QEMU by plain resume', async (t) => {
  const pool = await mountVmPool(t)
  for (const isOnRecord of [true, false]) {
    const vm = await startSuspended(t, pool)
    const before = qemuPid(vm.name)
    const steps = new UpdateSteps(scopeOf(pool, vm), Date.now())
    await steps.suspendAll()
    steps.releaseLocks()
    const saved = readDefinition(vm.ramFile) as VmDefinition
    assert.equal(saved.underUpdate?.isSuspended, true)
    if (!isOnRecord) writeDefinition({ ...saved, saved: null })
    const { report } = await resumeVms(pool)
    assert.deepEqual([report.vms[0]?.outcome, report.vms[0]?.problem], ['resumed', null])
    assert.notEqual(qemuPid(vm.name), before)
    assert.equal(readDefinition(vm.ramFile)?.underUpdate, undefined)
    assert.equal(await statusOf(vm), 'suspended')
    expectUnbroken(vm)
    await monitor(vm.name, 'system_wakeup')
    await monitor(vm.name, 'quit').catch(() => {})
  }
})

test('a killed update that had not come to its save is ended by plain resume, and the guest stays suspended', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startSuspended(t, pool)
  const definition = readDefinition(vm.ramFile) as VmDefinition
  writeDefinition({ ...definition, underUpdate: { wasRunning: true } })
  const refused = await updateVmm(pool)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /: its last update did not end: 'guestmemfs resume --name \S+' first$/m)
  const listed = await guestmemfs('vms', pool.mountPoint)
  assert.match(listed.stderr, /: its update was killed before it stopped the guest: 'guestmemfs resume'/)
  const { report } = await resumeVms(pool)
  assert.deepEqual([report.vms[0]?.outcome, report.vms[0]?.problem], ['resumed', null])
  assert.equal(readDefinition(vm.ramFile)?.underUpdate, undefined)
  assert.equal(await statusOf(vm), 'suspended')
  expectUnbroken(vm)
})
