/**
 * Tests of what dies, stops or hangs while a guest's next QEMU waits beside the old one: one of the two has
 * the guest at any time, and the other one ends.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RUN } from '../../src/run/paths.ts'
import { isAlive } from '../../src/run/process-identity.ts'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { guestmemfs, typed, until } from '../mount/support.ts'
import { brokenQemu, type MoodyQemu, moodyQemu } from './fake-qemu.ts'
import { qemusOf } from './holders-of-ram.ts'
import {
  kill,
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
import { watcherPid } from './watcher-pid.ts'

interface Slow {
  readonly pool: VmPool
  readonly vm: TestVm
  readonly qemu: MoodyQemu
  readonly before: number
}

async function startSlow(t: TestContext, word: string, options: readonly string[] = []): Promise<Slow> {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, word, { qemu: qemu.path, options })
  return { pool, vm, qemu, before: qemuPid(vm.name) }
}

/** An update whose successor was started and does not answer yet. */
async function startUpdate({ pool, vm, qemu }: Slow) {
  const began = `${qemu.path}.began`
  qemu.set(`touch ${began}; sleep 8`)
  const update = spawn(process.execPath, typed('live-update', '--vmm-only', pool.mountPoint), {
    stdio: 'ignore',
  })
  const ended = once(update, 'exit')
  const deadline = performance.now() + 60_000
  // The successor is on record before its program has read what `set` tells it to do.
  while (readRuntime(vm.name)?.successor === undefined || !existsSync(began)) {
    assert.ok(performance.now() < deadline, 'no successor was started')
    await sleep(10)
  }
  qemu.reset()
  return { update, ended }
}

/** The guest goes on in `pid`, and no other QEMU has its RAM. */
async function expectAlone({ vm, pool }: Slow, pid: number): Promise<void> {
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
  assert.equal(qemuPid(vm.name), pid)
  assert.deepEqual(await qemusOf(vm), [pid])
  const { successor, predecessor } = readRuntime(vm.name) ?? {}
  assert.deepEqual([successor, predecessor], [undefined, undefined])
  assert.equal((await listVms(pool))[0]?.state, 'running')
}

/** It can be updated as ever. */
async function expectUpdated(slow: Slow): Promise<void> {
  const { status, report } = await updateVmm(slow.pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], JSON.stringify(report))
  await expectAlone(slow, qemuPid(slow.vm.name))
}

test('the command is killed while the successor waits: it is ended, and the guest was never stopped', async (t) => {
  const slow = await startSlow(t, 'command')
  const { update, ended } = await startUpdate(slow)
  update.kill('SIGKILL')
  await ended
  await expectAlone(slow, slow.before)
  await expectUpdated(slow)
})

test('the watcher is killed while the successor waits: the update goes on, and another one watches the guest', async (t) => {
  const slow = await startSlow(t, 'watcher')
  const { ended } = await startUpdate(slow)
  const watcher = watcherPid()
  kill(watcher)
  assert.deepEqual(await ended, [0, null])
  await expectAlone(slow, qemuPid(slow.vm.name))
  await expectUpdated(slow)
  assert.notEqual(watcherPid(), watcher)
  await monitor(slow.vm.name, 'quit').catch(() => {})
  await until('its record goes', async () => (await listVms(slow.pool)).length === 0)
})

test('command and watcher are both killed while the successor waits: the next update ends what they left', async (t) => {
  const slow = await startSlow(t, 'both')
  const { update, ended } = await startUpdate(slow)
  kill(watcherPid())
  update.kill('SIGKILL')
  await ended
  const left = readRuntime(slow.vm.name)?.successor
  assert.ok(left !== undefined && isAlive(left), 'a successor without an owner')
  assert.equal(qemuPid(slow.vm.name), slow.before)
  await expectUpdated(slow)
  assert.ok(!isAlive(left))
})

test('live-update --abort while the successor waits: the update undoes itself, and the guest was never stopped', async (t) => {
  const slow = await startSlow(t, 'abort')
  const { ended } = await startUpdate(slow)
  const { status, stdout, stderr } = await guestmemfs('live-update', '--abort', slow.pool.mountPoint)
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^the live update was stopped$/m)
  assert.deepEqual(await ended, [128 + 2, null])
  await expectAlone(slow, slow.before)
  const again = await guestmemfs('live-update', '--abort', slow.pool.mountPoint)
  assert.equal(again.stdout, 'no VM is saved there\n')
  const { stderr: both } = await guestmemfs('live-update', '--abort', '--vmm-only')
  assert.match(both, /^guestmemfs: give --abort alone/)
  await expectUpdated(slow)
})

test('the old QEMU is killed while the successor waits: the guest is gone, and nothing takes its place', async (t) => {
  const slow = await startSlow(t, 'old')
  const { ended } = await startUpdate(slow)
  kill(slow.before)
  assert.deepEqual(await ended, [1, null])
  assert.equal(await slow.vm.ended, 128 + 9)
  assert.deepEqual(await qemusOf(slow.vm), [])
  assert.equal((await listVms(slow.pool))[0]?.state, 'dead')
})

test('/run is full: the guest goes on, and it is updated once there is room', async (t) => {
  const isOwn = execFileSync('findmnt', ['-no', 'FSTYPE', '--target', RUN], { encoding: 'utf8' }).trim()
  if (isOwn !== 'tmpfs') return t.skip(`${RUN} is no tmpfs of this test run`)
  const slow = await startSlow(t, 'full')
  const remount = (size: string) => execFileSync('mount', ['-o', `remount,size=${size}`, RUN])
  const filler = join(RUN, 'filler')
  remount('1M')
  t.after(() => remount('50%'))
  assert.throws(() => writeFileSync(filler, Buffer.alloc(2 << 20)), { code: 'ENOSPC' })
  for (const _ of [1, 2]) {
    const { status } = await updateVmm(slow.pool, '--timeout', '20s')
    assert.equal(status, 1)
    assert.deepEqual(await qemusOf(slow.vm), [slow.before])
    await slow.vm.serial.moreTicks(2)
  }
  rmSync(filler)
  await expectUpdated(slow)
})

test('a watcher that is stopped delays no update, and finds later which QEMU has the guest', async (t) => {
  const slow = await startSlow(t, 'stands')
  await until('its machine is read', () => existsSync(vmPaths(slow.vm.name).machine))
  const watcher = watcherPid()
  kill(watcher, 'SIGSTOP')
  const { status, report, stderr } = await updateVmm(slow.pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], stderr)
  const after = qemuPid(slow.vm.name)
  assert.notEqual(after, slow.before)
  await slow.vm.serial.moreTicks(2)
  kill(watcher, 'SIGCONT')
  await sleep(500)
  await expectAlone(slow, after)
  await monitor(slow.vm.name, 'quit').catch(() => {})
  await until('its record goes', async () => (await listVms(slow.pool)).length === 0)
})

test('a successor that hangs when it is given the state: it is ended, and the guest goes on in the old QEMU', async (t) => {
  const slow = await startSlow(t, 'hangs')
  const state = slow.pool.path(`${slow.vm.name}.vmstate`)
  // Without a sleep: the state file is there for some milliseconds.
  slow.qemu.set(`(i=0; while [ ! -e ${state} ] && [ $i -lt 9000000 ]; do i=$((i+1)); done; kill -STOP $$) &`)
  const { report } = await updateVmm(slow.pool, '--timeout', '2s')
  slow.qemu.reset()
  assert.equal(report.vms[0]?.outcome, 'rolled-back', JSON.stringify(report))
  await expectAlone(slow, slow.before)
  await expectUpdated(slow)
})

test('a next QEMU that ends at its start, beside the old one: the guest is not paused', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'beside')
  const pid = qemuPid(vm.name)
  const { status, report } = await updateVmm(pool, '--qemu', brokenQemu(scratchFolder(t)))
  assert.equal(status, 1)
  const [timeline] = report.vms
  assert.deepEqual([timeline?.outcome, timeline?.phases], ['rolled-back', []])
  assert.match(
    timeline?.problem ?? '',
    /^its next QEMU does not start, so the guest was not stopped: QEMU ended with status 3$/,
  )
  assert.equal(qemuPid(vm.name), pid)
  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
  assert.equal((await updateVmm(pool)).status, 0)
})

test('a successor that does not take the guest says why, and the guest goes on in the old QEMU', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const options = ['-device', 'virtio-rng-pci']
  const vm = await startTinyVm(t, pool, 'unlike', { qemu: qemu.path, options })
  const pid = qemuPid(vm.name)
  qemu.set(`set -- $(echo "$@" | sed s/virtio-rng-pci/virtio-balloon-pci/)`)
  for (const isRunning of [true, false]) {
    if (!isRunning) await monitor(vm.name, 'stop')
    const { report } = await updateVmm(pool)
    assert.equal(report.vms[0]?.outcome, 'rolled-back')
    assert.match(report.vms[0].problem ?? '', /virtio-rng/)
    assert.doesNotMatch(report.vms[0].problem ?? '', /EPIPE|\n/)
    assert.equal(qemuPid(vm.name), pid)
    assert.deepEqual(readRuntime(vm.name)?.successor, undefined)
    assert.ok(!existsSync(pool.path(`${vm.name}.vmstate`)), 'no later QEMU loads what the guest was then')
    if (isRunning) await vm.serial.moreTicks(2)
  }
  await monitor(vm.name, 'cont')
  qemu.reset()
  assert.equal((await updateVmm(pool)).status, 0)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('forwarded ports go to the successor, and to the old QEMU again where it fails', async (t) => {
  const options = [
    '-netdev',
    'user,id=n0,hostfwd=tcp:127.0.0.1:22031-:22',
    '-device',
    'virtio-net-pci,netdev=n0',
  ]
  const slow = await startSlow(t, 'ports', [...options, '-device', 'virtio-rng-pci'])
  const { name } = slow.vm
  const forwards = async () =>
    [
      ...String(await monitor(name, 'human-monitor-command', { 'command-line': 'info usernet' })).matchAll(
        /HOST_FORWARD.*?(\d+) +10\.0/g,
      ),
    ].map(([, port]) => port)
  await monitor(name, 'human-monitor-command', { 'command-line': 'hostfwd_add n0 tcp:127.0.0.1:22032-:23' })
  await expectUpdated(slow)
  assert.deepEqual((await forwards()).toSorted(), ['22031', '22032'])

  slow.qemu.set(`set -- $(echo "$@" | sed s/virtio-rng-pci/virtio-balloon-pci/)`)
  assert.equal((await updateVmm(slow.pool)).report.vms[0]?.outcome, 'rolled-back')
  assert.deepEqual((await forwards()).toSorted(), ['22031', '22032'])
  slow.qemu.reset()
  await slow.vm.serial.moreTicks(2)
  await expectUpdated(slow)
})
