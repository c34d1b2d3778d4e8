/**
 * Tests of what the operator has set for QEMU's migrations: it neither slows nor changes a save, and is set
 * again afterwards: in the guest's next QEMU, or in its old one when the save was undone.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { guestmemfs, typed, until } from '../mount/support.ts'
import { linesOfPlan } from './plan-a-kernel.ts'
import { startPrivateRamVm } from './private-ram-vm.ts'
import { secondMonitor, slowSaves } from './slow-saves.ts'
import {
  monitor,
  mountVmPool,
  qemuPid,
  resumeVms,
  scratchFolder,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
} from './support.ts'

interface SlowVm {
  readonly pool: VmPool
  readonly vm: TestVm
}

/** 64 MiB of its memory are private, so they go through the state file. */
async function startSlowVm(t: TestContext, word: string, options: readonly string[] = []): Promise<SlowVm> {
  const pool = await mountVmPool(t, '256M')
  return { pool, vm: await startPrivateRamVm(t, pool, word, options) }
}

const settingsOf = async ({ name }: TestVm): Promise<unknown[]> => [
  await monitor(name, 'query-migrate-capabilities'),
  await monitor(name, 'query-migrate-parameters'),
]

/** Each of them makes a save to a file fail, or stops the guest for a minute. */
async function setAll({ name }: TestVm): Promise<void> {
  const state = true
  await monitor(name, 'migrate-set-parameters', {
    ...{ 'max-bandwidth': 1 << 20, 'tls-creds': 'missing', 'downtime-limit': 123, 'multifd-channels': 3 },
    ...{ 'announce-rounds': 7 },
  })
  await monitor(name, 'migrate-set-capabilities', {
    capabilities: ['events', 'multifd', 'auto-converge', 'pause-before-switchover'].map((capability) => ({
      capability,
      state,
    })),
  })
}

test('an update with the next QEMU first: that one has them, and the save was not paced by them', async (t) => {
  const { pool, vm } = await startSlowVm(t, 'paced')
  await setAll(vm)
  const before = await settingsOf(vm)
  for (const _ of [1, 2]) {
    const pid = qemuPid(vm.name)
    const { status, stderr, report } = await updateVmm(pool, '--timeout', '20s')
    assert.deepEqual([status, report.vms[0]?.problem], [0, null])
    assert.match(stderr, /^guestmemfs: warning: VM \S+: 64M of its RAM are private: [^\n]*\n$/)
    assert.notEqual(qemuPid(vm.name), pid)
    assert.deepEqual(await settingsOf(vm), before)
  }
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('rounds of announcements and a limit of the downtime that the operator set are those of the next QEMU', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'announced')
  const settings = async (): Promise<unknown[]> => {
    const all = (await monitor(vm.name, 'query-migrate-parameters')) as Record<string, unknown>
    return [all['announce-rounds'], all['downtime-limit']]
  }
  await monitor(vm.name, 'migrate-set-parameters', { 'announce-rounds': 7, 'downtime-limit': 123 })
  assert.deepEqual(await settings(), [7, 123])
  const pid = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.deepEqual([status, stderr], [0, ''])
  assert.notEqual(qemuPid(vm.name), pid)
  assert.deepEqual(await settings(), [7, 123])
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test("the operator's limit of the bandwidth of migrations does not pace a save, which stops the guest", async (t) => {
  const { pool, vm } = await startSlowVm(t, 'limited')
  // At this limit QEMU would take a minute for the guest's private memory.
  await monitor(vm.name, 'migrate-set-parameters', { 'max-bandwidth': 1 << 20 })
  const { status, report } = await updateVmm(pool, '--timeout', '20s')
  const [timeline] = report.vms
  assert.deepEqual([status, timeline?.outcome, timeline?.problem], [0, 'updated', null])
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('what blocks a save is looked for without changing anything, whatever mode the operator had set', async (t) => {
  const { vm } = await startSlowVm(t, 'looked')
  await setAll(vm)
  for (const mode of ['normal', 'cpr-transfer']) {
    await monitor(vm.name, 'migrate-set-parameters', { mode })
    const before = await settingsOf(vm)
    await linesOfPlan(t)
    assert.deepEqual(await settingsOf(vm), before)
  }
})

test('a paused guest that the operator resumes, and that no update had changed, has them as they were', async (t) => {
  const { vm } = await startSlowVm(t, 'named')
  await setAll(vm)
  const before = await settingsOf(vm)
  await monitor(vm.name, 'stop')
  const { status, stderr } = await guestmemfs('resume', '--name', vm.name)
  assert.equal(status, 0, stderr)
  assert.deepEqual(await settingsOf(vm), before)
  await vm.serial.moreTicks(2)
})

test('an update that is killed in the middle of a save: resume sets them as they were', async (t) => {
  const folder = scratchFolder(t)
  const { pool, vm } = await startSlowVm(t, 'killed', secondMonitor(folder))
  await setAll(vm)
  const before = await settingsOf(vm)
  const stop = await slowSaves(t, folder, 1 << 20)
  const words = typed('live-update', '--vmm-only', pool.mountPoint)
  const command = spawn(process.execPath, words, { stdio: 'ignore' })
  const ended = once(command, 'exit')
  const state = pool.path(`${vm.name}.vmstate`)
  await until('its state is being written', () => (statSync(state, { throwIfNoEntry: false })?.size ?? 0) > 0)
  command.kill('SIGKILL')
  await ended
  await stop()
  const { report } = await resumeVms(pool)
  assert.equal(report.vms[0]?.outcome, 'resumed', report.vms[0]?.problem ?? '')
  assert.deepEqual(await settingsOf(vm), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a save that is undone leaves them as they were', async (t) => {
  const folder = scratchFolder(t)
  const { pool, vm } = await startSlowVm(t, 'undone', secondMonitor(folder))
  await setAll(vm)
  const before = await settingsOf(vm)
  const stop = await slowSaves(t, folder, 1 << 20)
  const { status, report } = await updateVmm(pool, '--timeout', '2s')
  await stop()
  assert.deepEqual([status, report.vms[0]?.outcome], [1, 'rolled-back'])
  assert.match(report.vms[0]?.problem ?? '', /the migration did not end within \d+ s/)
  assert.deepEqual(await settingsOf(vm), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})
