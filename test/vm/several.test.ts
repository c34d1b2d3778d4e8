/** Tests of the update of several VMs at once: the failure of one affects no other. */
import assert from 'node:assert/strict'
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { guestmemfs, kill, mountTestPool } from '../mount/support.ts'
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
  vmName,
} from './support.ts'

test('three VMs at once, in the order they were given, and the report afterwards', async (t) => {
  const pool = await mountVmPool(t, '512M')
  const vms = []
  for (const [index, word] of ['c', 'b', 'a'].entries()) {
    vms.push(await startTinyVm(t, pool, word, { seed: index + 1, runOptions: ['--order', String(index)] }))
  }
  const { status, report, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  assert.deepEqual(
    report.vms.map(({ name, outcome }) => [name, outcome]),
    ['c', 'b', 'a'].map((word) => [vmName(word), 'updated']),
  )
  for (const { serial } of vms) {
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  }
  const shown = await guestmemfs('report', pool.mountPoint)
  for (const { name } of vms) assert.match(shown.stdout, new RegExp(`^${name} +64M +updated`, 'm'))
})

test('a guest is started and brought back beside the dead mount of another pool', async (t) => {
  const pool = await mountVmPool(t, '256M')
  const other = await mountTestPool(t, { size: '64M' })
  await kill(other.keeperPid())
  await kill(other.serverPid())
  const { name, serial } = await startTinyVm(t, pool, 'beside')
  await monitor(name, 'stop')
  const resumed = await guestmemfs('resume', '--name', name)
  assert.match(resumed.stderr, new RegExp(`${other.mountPoint} is dead`))
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
})

test('a save that fails half-way leaves its guest running, and the others are updated', async (t) => {
  const pool = await mountVmPool(t, '208M')
  const folder = scratchFolder(t)
  const big = await startPrivateRamVm(t, pool, 'big', secondMonitor(folder))
  const small = await startTinyVm(t, pool, 'small', { seed: 2 })
  const before = qemuPid(big.name)
  // The test fills the pool when the small guest's state is written, and the big one's is not.
  await slowSaves(t, folder, 16 << 20)
  const updating = updateVmm(pool)
  await untilState(pool, big, 16 << 20)
  writeFileSync(pool.path('else'), Buffer.alloc(44 << 20))

  const { status, report } = await updating
  rmSync(pool.path('else'))
  assert.equal(status, 1)
  const outcome = (name: string) => report.vms.find((vm) => vm.name === name)
  assert.equal(outcome(small.name)?.outcome, 'updated')
  assert.equal(outcome(big.name)?.outcome, 'rolled-back')
  assert.match(outcome(big.name)?.problem ?? '', /No space left on device|Unable to write/i)
  assert.equal(qemuPid(big.name), before)
  for (const { serial } of [big, small]) {
    await serial.moreTicks(3)
    assert.equal(serial.findBreak(), undefined)
  }
  assert.deepEqual(readdirSync(pool.mountPoint).sort(), ['big', 'small'], 'no state file is left')
})

test('a guest whose state has no room is left as it is, and the others are updated', async (t) => {
  const pool = await mountVmPool(t, '160M')
  const big = await startPrivateRamVm(t, pool, 'big')
  const small = await startTinyVm(t, pool, 'small', { seed: 2 })
  const before = qemuPid(big.name)
  const { status, report } = await updateVmm(pool)
  assert.equal(status, 1)
  const outcome = (name: string) => report.vms.find((vm) => vm.name === name)
  assert.equal(outcome(small.name)?.outcome, 'updated')
  assert.equal(outcome(big.name)?.outcome, 'refused')
  assert.match(
    outcome(big.name)?.problem ?? '',
    /has no room for its state: it takes up to 66M, \d+M are free$/,
  )
  assert.equal(qemuPid(big.name), before)
})

test('a save that takes too long is cancelled, and its guest goes on', async (t) => {
  const pool = await mountVmPool(t, '256M')
  const folder = scratchFolder(t)
  const slow = await startPrivateRamVm(t, pool, 'slow', secondMonitor(folder))
  const before = qemuPid(slow.name)
  const stop = await slowSaves(t, folder, 1 << 20)
  const { status, report, stderr } = await updateVmm(pool, '--timeout', '2s')
  assert.equal(status, 1)
  assert.match(
    stderr,
    /^guestmemfs: warning: VM \S+: 64M of its RAM are private: it is stopped while QEMU writes them\n$/,
  )
  assert.equal(report.vms[0]?.outcome, 'rolled-back')
  assert.match(report.vms[0].problem ?? '', /the migration did not end within \d+ s/)
  assert.equal(qemuPid(slow.name), before)
  await slow.serial.moreTicks(3)
  assert.equal(slow.serial.findBreak(), undefined)

  await stop()
  assert.equal((await updateVmm(pool)).status, 0, 'with time enough it is saved, its private memory included')
  await slow.serial.moreTicks(3)
  assert.equal(slow.serial.findBreak(), undefined)
})

test('a frozen pool, a name that is taken: refused before anything is done', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'first')
  await assert.rejects(
    startTinyVm(t, pool, 'second', { runOptions: ['--name', vm.name] }),
    /a VM named first-\d+ is running/,
  )
  await guestmemfs('freeze', pool.mountPoint)
  const frozen = await updateVmm(pool)
  assert.match(frozen.stderr, /is frozen: 'guestmemfs thaw' it first/)
  await guestmemfs('thaw', pool.mountPoint)
  assert.equal((await updateVmm(pool)).status, 0)
})

test('a guest with a device that cannot be saved is left as it is, and holds back no other', async (t) => {
  const pool = await mountVmPool(t)
  const blocked = await startTinyVm(t, pool, 'nvme', {
    options: ['-blockdev', 'null-co,node-name=disk,read-zeroes=on', '-device', 'nvme,serial=x,drive=disk'],
  })
  const free = await startTinyVm(t, pool, 'free', { seed: 2 })
  const pids = [blocked, free].map(({ name }) => qemuPid(name))
  const { status, report } = await updateVmm(pool)
  assert.equal(status, 1)
  const outcome = (name: string) => report.vms.find((vm) => vm.name === name)?.outcome
  assert.deepEqual([outcome(blocked.name), outcome(free.name)], ['refused', 'updated'])
  const updated = await running(pool)
  assert.equal(updated[0], pids[0])
  assert.notEqual(updated[1], pids[1])

  const refused = await updateVmm(pool, '--all-or-none')
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /VM nvme-\d+: cannot be saved: non-migratable device: .*nvme/)
  assert.deepEqual(await running(pool), updated)
  await free.serial.moreTicks(2)
  assert.equal(free.serial.findBreak(), undefined)
})

/** Resolves when QEMU has written that many bytes of its state. */
async function untilState(pool: VmPool, { name }: TestVm, bytes: number): Promise<void> {
  const path = pool.path(`${name}.vmstate`)
  const deadline = performance.now() + 30_000
  while ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < bytes) {
    assert.ok(performance.now() < deadline, `${path} did not grow`)
    await sleep(20)
  }
}

async function running(pool: VmPool): Promise<(number | null)[]> {
  const vms = await listVms(pool)
  return vms.toSorted((a, b) => (a.name > b.name ? -1 : 1)).map(({ pid }) => pid)
}
