/**
 * Tests that the VMM-only update keeps the guest: the guest goes on from where it stopped, with every byte in
 * place.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { liveQemu } from '../../src/run/vm-runtime.ts'
import { until } from '../mount/support.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  qemuPid,
  quitFirst,
  scratchFolder,
  startTinyVm,
  updateVmm,
} from './support.ts'

test('a running guest goes on in a new QEMU, on the same streams', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'one')
  const before = qemuPid(vm.name)
  assert.equal(before, vm.process.pid, 'what was typed has become QEMU')
  await vm.serial.moreTicks(3)

  const { status, report, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  const [timeline] = report.vms
  assert.equal(timeline?.outcome, 'updated')
  assert.equal(timeline.quitFirst, null, 'the next one was started first')
  assert.deepEqual(
    timeline.phases.map(({ phase }) => phase),
    ['save', 'load', 'continue'],
  )
  const sum = timeline.phases.reduce((total, { durationUs }) => total + durationUs, 0)
  assert.ok(Math.abs(sum - (timeline.blackoutUs ?? 0)) <= 5, 'the phases are the blackout')
  assert.notEqual(qemuPid(vm.name), before)

  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
  assert.equal(await vm.ended, 0, 'what was typed was the old QEMU')
  assert.deepEqual(readdirSync(pool.mountPoint), ['one'], 'the state file is gone')

  const again = await updateVmm(pool)
  assert.equal(again.status, 0, again.stderr)
  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('where one process alone can have what the line names, the old QEMU ends first, and the report says why', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'alone', { options: quitFirst(scratchFolder(t)) })
  const { status, report, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  const [timeline] = report.vms
  assert.deepEqual(
    timeline?.phases.map(({ phase }) => phase),
    ['save', 'quit', 'launch', 'start', 'load', 'continue'],
  )
  assert.match(timeline?.quitFirst ?? '', /^one process alone can have -pidfile \S+$/)
  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('the check of the guest can fail: a byte changed under it is seen', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'bad')
  await monitor(vm.name, 'stop')
  // A byte of the pattern, which begins at 2 MiB.
  execFileSync(process.execPath, [join(import.meta.dirname, 'flip-byte.ts'), vm.ramFile, String(5 << 20)])
  await monitor(vm.name, 'cont')
  await vm.serial.moreTicks(3)
  assert.match(vm.serial.findBreak() ?? '', /1 bad words/)
})

test('a paused guest stays paused, and one that ends leaves no record', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'idle')
  await monitor(vm.name, 'stop')
  const ticks = vm.serial.ticks().length
  const { status, report } = await updateVmm(pool)
  assert.equal(status, 0)
  assert.equal(report.vms[0]?.blackoutUs, null)
  assert.equal(((await monitor(vm.name, 'query-status')) as { status: string }).status, 'paused')
  assert.equal(vm.serial.ticks().length, ticks)
  await monitor(vm.name, 'cont')
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)

  await monitor(vm.name, 'quit').catch(() => {})
  await until('its end', () => liveQemu(vm.name) === undefined)
  assert.deepEqual(await listVms(pool), [], 'a guest that ended leaves no record')
  assert.ok(existsSync(vm.ramFile))
})

test('the record stays when QEMU is killed, and --replace starts over', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'dead')
  process.kill(qemuPid(vm.name), 'SIGKILL')
  assert.equal(await vm.ended, 128 + 9)
  assert.equal((await listVms(pool))[0]?.state, 'dead')
  await assert.rejects(
    startTinyVm(t, pool, 'dead'),
    /is recorded, but its QEMU is gone: start over with --replace/,
  )
  const next = await startTinyVm(t, pool, 'dead', { runOptions: ['--replace'] })
  await next.serial.moreTicks(2)
  assert.equal(next.serial.findBreak(), undefined)
})
