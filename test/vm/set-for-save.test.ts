/**
 * Tests of the migration mode that a save needs (cpr-reboot): no command resets it during the save of another
 * one, and what a killed command has left of it is reported and undone.
 */
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { close } from '../../src/linux/descriptors.ts'
import { readDefinition, type VmDefinition, writeDefinition } from '../../src/qemu/vm-definition.ts'
import { tryLock, vmPaths } from '../../src/run/vm-runtime.ts'
import type { Fd } from '../../src/values/ids.ts'
import { guestmemfs, until } from '../mount/support.ts'
import { linesOfPlan } from './plan-a-kernel.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  resumeVms,
  scratchFolder,
  startTinyVm,
  type TestVm,
  updateVmm,
} from './support.ts'

const SAVE_MODE = 'cpr-reboot'
const UPDATES_AT_ONCE = 3

/** As a command leaves it that is killed between its question and the end of it. */
const leaveSet = ({ name }: TestVm) => monitor(name, 'migrate-set-parameters', { mode: SAVE_MODE })
const modeOf = async ({ name }: TestVm) =>
  ((await monitor(name, 'query-migrate-parameters')) as { mode: string }).mode
const statusOf = async ({ name }: TestVm) =>
  ((await monitor(name, 'query-status')) as { status: string }).status

async function goesOn({ serial }: TestVm): Promise<void> {
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
}

test('a preflight, of a dry run as well, leaves the mode of a guest that another command saves', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'saving')
  // The test is the other command: it holds the lock, and has set the mode.
  const lock = tryLock(vmPaths(vm.name).updateLock) as Fd
  t.after(() => close(lock))
  await leaveSet(vm)
  const refusal = `VM ${vm.name}: another update of it is under way`
  const refusals = (await linesOfPlan(t)).filter((line) => line.includes(refusal))
  assert.equal(await modeOf(vm), SAVE_MODE)
  assert.equal(refusals.length, 1)
  const { status, stderr } = await updateVmm(pool)
  assert.deepEqual([status, stderr], [1, `guestmemfs: ${refusal}\n`])
  assert.equal(await modeOf(vm), SAVE_MODE)
  assert.equal((await guestmemfs('vms', pool.mountPoint)).stderr, '', 'it is nothing left over')
  await goesOn(vm)
})

test('several updates of one guest at once: each ends in one line or the report, and its RAM stays out of the state', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'many')
  const updates = await Promise.all(Array.from({ length: UPDATES_AT_ONCE }, () => updateVmm(pool)))
  for (const { status, stderr, report } of updates) {
    const [result] = report.vms
    t.diagnostic(`${status} ${result?.outcome} ${result?.problem ?? stderr}`)
    if (status === 0) assert.ok((result?.stateBytes ?? Number.NaN) < 4 << 20, 'no RAM is in the state file')
    else
      assert.match(
        result?.problem ?? stderr,
        /another update of it is under way|was changed while the update|QEMU closed it|it ended|no greeting|ENOENT|ECONNREFUSED/,
      )
  }
  assert.ok(updates.some(({ status }) => status === 0))
  assert.equal(await modeOf(vm), 'normal')
  await goesOn(vm)
})

for (const [state, change] of [
  ['running', 'cont'],
  ['paused', 'stop'],
] as const) {
  const start = async (t: TestContext) => {
    const pool = await mountVmPool(t)
    const vm = await startTinyVm(t, pool, `left-${state}`)
    await monitor(vm.name, change)
    await leaveSet(vm)
    return { pool, vm }
  }

  test(`a mode that a killed command left: vms tells it, resume sets it back, and the guest stays ${state}`, async (t) => {
    const { pool, vm } = await start(t)
    const told = await guestmemfs('vms', pool.mountPoint)
    assert.match(
      told.stderr,
      /^guestmemfs: VM \S+: a command that was killed left its QEMU set for a save \(cpr-reboot\): 'guestmemfs resume' sets it back\n$/,
    )
    assert.equal(told.status, 0)
    assert.equal((await listVms(pool))[0]?.state, 'running')
    const { status, report } = await resumeVms(pool)
    assert.deepEqual([status, report.vms[0]?.outcome], [0, 'resumed'])
    assert.deepEqual([await modeOf(vm), await statusOf(vm)], ['normal', state])
    assert.equal((await guestmemfs('vms', pool.mountPoint)).stderr, '')
    if (state === 'paused') await monitor(vm.name, 'cont')
    await goesOn(vm)
  })

  test(`a mode that a killed command left: the next preflight tells it and sets it back, and the guest stays ${state}`, async (t) => {
    const { vm } = await start(t)
    const told = (await linesOfPlan(t)).filter((line) =>
      line.includes(`VM ${vm.name}: a command that was killed had left its QEMU set for a save`),
    )
    assert.equal(told.length, 1)
    assert.deepEqual([await modeOf(vm), await statusOf(vm)], ['normal', state])
  })
}

test('an update that was killed at its very beginning: vms tells it, resume ends it with its empty state file', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'begun')
  const before = readDefinition(vm.ramFile) as VmDefinition
  writeDefinition({ ...before, underUpdate: { wasRunning: true } })
  writeFileSync(pool.path(`${vm.name}.vmstate`), '')
  assert.match(
    (await guestmemfs('vms', pool.mountPoint)).stderr,
    /^guestmemfs: VM \S+: its update was killed before it stopped the guest: 'guestmemfs resume' ends it\n$/,
  )
  const { status, report } = await resumeVms(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'resumed'])
  assert.deepEqual(readDefinition(vm.ramFile), before)
  assert.deepEqual(readdirSync(pool.mountPoint), ['begun'])
  await goesOn(vm)
})

/** To a file, so slowly that it does not end, or, of a paused guest, to its end. */
async function migrateByHand({ name }: TestVm, file: string, bytesASecond: number): Promise<void> {
  await monitor(name, 'migrate-set-parameters', { 'max-bandwidth': bytesASecond })
  await monitor(name, 'migrate', { uri: `file:${file}` })
}
const migrationOf = async ({ name }: TestVm) =>
  ((await monitor(name, 'query-migrate')) as { status: string }).status

test("the operator's migration that is under way: an update is refused, and neither its mode nor the migration changes", async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'away')
  await migrateByHand(vm, join(scratchFolder(t), 'away'), 4096)
  await until('it is under way', async () => (await migrationOf(vm)) === 'active')
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(stderr, /^guestmemfs: VM \S+: a migration of it is under way \(active\): wait for its end/)
  assert.deepEqual([await modeOf(vm), await migrationOf(vm)], ['normal', 'active'])

  // Also where the record of a former update has stayed.
  const before = readDefinition(vm.ramFile) as VmDefinition
  writeDefinition({ ...before, underUpdate: { wasRunning: true } })
  assert.equal((await resumeVms(pool)).status, 0)
  assert.equal(await migrationOf(vm), 'active')
  assert.equal(readDefinition(vm.ramFile)?.underUpdate, undefined)
  await monitor(vm.name, 'migrate_cancel')
  await until('it has ended', async () => (await migrationOf(vm)) === 'cancelled')
  await goesOn(vm)
})

test('a guest that was migrated away in a mode that a killed command had left runs here only when it is named', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'gone')
  await monitor(vm.name, 'stop')
  await leaveSet(vm)
  await migrateByHand(vm, join(scratchFolder(t), 'gone'), 0)
  await until('it has gone', async () => (await statusOf(vm)) === 'postmigrate')
  assert.equal((await guestmemfs('resume', pool.mountPoint)).status, 0)
  assert.equal(await statusOf(vm), 'postmigrate')
  assert.equal((await guestmemfs('resume', pool.mountPoint, '--name', vm.name)).status, 0)
  assert.deepEqual([await statusOf(vm), await modeOf(vm)], ['running', 'normal'])
  await goesOn(vm)
})

test('a dry run of QEMU alone is refused, and replaces no QEMU', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'dry')
  const [before] = await listVms(pool)
  const { status, stderr } = await updateVmm(pool, '--dry-run')
  assert.deepEqual([status, stderr], [1, 'guestmemfs: --dry-run is for --kernel: nothing was changed\n'])
  assert.deepEqual((await listVms(pool))[0], before)
  await goesOn(vm)
})
