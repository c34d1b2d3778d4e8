/**
 * Tests of updates that are killed: `guestmemfs live-update` is killed at a random moment, again and again,
 * and `guestmemfs resume` always continues the guest with every byte in place. The seed is printed;
 * GUESTMEMFS_SEED repeats a run.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { readDefinition, type VmDefinition, writeDefinition } from '../../src/qemu/vm-definition.ts'
import { identify } from '../../src/run/process-identity.ts'
import { makeVmDirectory, readRuntime, vmPaths, writeRuntime } from '../../src/run/vm-runtime.ts'
import { typed, until } from '../mount/support.ts'
import { moodyQemu } from './fake-qemu.ts'
import { qemusOf } from './holders-of-ram.ts'
import { leaveSaved } from './leave-saved.ts'
import { Serial } from './serial.ts'
import {
  listVms,
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

const ROUNDS = 8
const UPDATE = ['live-update', '--vmm-only']

for (const [order, windowMs] of [
  // From the creation of the state file, the first step, to about when the guest runs again.
  ['its next QEMU first', 50],
  ['its old QEMU first', 150],
] as const) {
  test(`an update killed at any moment leaves a guest that goes on: ${order}`, async (t) => {
    const seed = Number(process.env.GUESTMEMFS_SEED ?? Date.now() % 1_000_000)
    t.diagnostic(`seed ${seed}`)
    const random = randomFrom(seed)
    const pool = await mountVmPool(t)
    const options = order === 'its old QEMU first' ? quitFirst(scratchFolder(t)) : []
    const vm = await startTinyVm(t, pool, 'hard', { options })
    const found: Record<string, number> = {}
    for (let round = 0; round < ROUNDS; round++) {
      const delayMs = random.below(windowMs)
      await killedUpdate(pool, vm.name, delayMs)
      // Without names: `resume` finds the guest by itself.
      const { report } = await resumeVms(pool)
      const [timeline] = report.vms
      const how = timeline?.problem ?? timeline?.phases.map(({ phase }) => phase).join(' ') ?? 'gone'
      found[how] = (found[how] ?? 0) + 1
      assert.ok(
        timeline === undefined || timeline.outcome === 'resumed' || timeline.problem?.startsWith('it runs'),
        `seed ${seed}, round ${round}, ${delayMs} ms: ${JSON.stringify(timeline)}`,
      )
      const before = ticksOf(vm.serial, vm.name).length
      const deadline = performance.now() + 20_000
      while (ticksOf(vm.serial, vm.name).length < before + 2) {
        assert.ok(performance.now() < deadline, `seed ${seed}, round ${round}: no ticks`)
        await sleep(50)
      }
      assert.deepEqual(await qemusOf(vm), [qemuPid(vm.name)], `seed ${seed}, round ${round}: one QEMU`)
    }
    for (const [index, { number, bad }] of ticksOf(vm.serial, vm.name).entries()) {
      assert.deepEqual([number, bad], [index + 1, 0], `seed ${seed}`)
    }
    t.diagnostic(`resumed after: ${JSON.stringify(found)}`)
  })
}

for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
  test(`an update that gets ${signal} in the middle comes to its end, and says what it got`, async (t) => {
    const pool = await mountVmPool(t)
    const qemu = moodyQemu(scratchFolder(t))
    const vm = await startTinyVm(t, pool, signal.toLowerCase(), {
      qemu: qemu.path,
      options: quitFirst(scratchFolder(t)),
    })
    const before = qemuPid(vm.name)
    // The old QEMU has ended, the next one does not run yet.
    qemu.set('sleep 2')
    const update = spawn(process.execPath, typed(...UPDATE, pool.mountPoint), { stdio: 'ignore' })
    const ended = once(update, 'exit')
    await untilMade(pool.path(`${vm.name}.vmstate`))
    await sleep(500)
    update.kill(signal)
    assert.deepEqual(await ended, [128 + constants.signals[signal], null])
    assert.notEqual(qemuPid(vm.name), before)
    assert.equal((await listVms(pool))[0]?.state, 'running')
    await vm.serial.moreTicks(2)
    assert.equal(vm.serial.findBreak(), undefined)
  })
}

test('an update whose reader goes away comes to its end, and prints no stack trace', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const slow = await startTinyVm(t, pool, 'slow', { qemu: qemu.path })
  const fast = await startTinyVm(t, pool, 'fast', { seed: 2 })
  const before = [slow, fast].map(({ name }) => qemuPid(name))
  // The report of the other one, which the reader does not take, comes while this one is in no QEMU.
  qemu.set('sleep 2')
  const update = spawn(process.execPath, typed(...UPDATE, pool.mountPoint), {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  update.stdout.destroy()
  const [ended, errors] = await Promise.all([once(update, 'exit'), text(update.stderr)])
  assert.deepEqual([ended, errors], [[0, null], ''])
  for (const [index, { name, serial }] of [slow, fast].entries()) {
    assert.notEqual(qemuPid(name), before[index])
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  }
})

test('an update that is killed leaves a guest that vms calls stopped, and that plain resume brings back', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'stopped')
  // As after an update that was killed when QEMU had saved the guest, and before that was on record.
  await monitor(vm.name, 'migrate-set-capabilities', {
    capabilities: [{ capability: 'x-ignore-shared', state: true }],
  })
  await monitor(vm.name, 'migrate-set-parameters', { mode: 'cpr-reboot' })
  await monitor(vm.name, 'migrate', { uri: `file:${pool.path(`${vm.name}.vmstate`)}` })
  const deadline = performance.now() + 10_000
  while ((await status(vm.name)) !== 'postmigrate') {
    assert.ok(performance.now() < deadline)
    await sleep(20)
  }
  assert.equal((await listVms(pool))[0]?.state, 'stopped')
  const { report } = await resumeVms(pool)
  assert.equal(report.vms[0]?.outcome, 'resumed')
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
  assert.equal((await listVms(pool))[0]?.state, 'running')
})

test('a guest whose old QEMU was ending when its update was killed goes on in another, after that end', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'ending', {
    qemu: qemu.path,
    options: quitFirst(scratchFolder(t)),
  })
  await leaveSaved(pool, qemu)
  assert.equal(await vm.ended, 0)
  // A process that runs and has no socket, as a QEMU that is ending.
  const ending = spawn('sleep', ['60'], { stdio: 'ignore' })
  t.after(() => ending.kill())
  const process = identify(ending.pid as number)
  assert.ok(process)
  // The watcher may be settling the old QEMU's end just now, once, and removes the record with its folder.
  await until('the record stays', async () => {
    try {
      makeVmDirectory(vm.name)
      writeRuntime(vm.name, { ramFile: vm.ramFile, qemu: process, end: null })
      await sleep(200)
      return readRuntime(vm.name)?.qemu?.pid === ending.pid
    } catch {
      return false
    }
  })
  const resumption = resumeVms(pool)
  await sleep(1500)
  assert.equal(readRuntime(vm.name)?.qemu?.pid, ending.pid, 'no second QEMU beside it')
  ending.kill()
  const resumed = await resumption
  assert.deepEqual([resumed.report.vms[0]?.outcome, resumed.status], ['resumed', 0], JSON.stringify(resumed))
  const before = ticksOf(vm.serial, vm.name).length
  await until('it ticks', () => ticksOf(vm.serial, vm.name).length > before + 2)
  for (const [index, { number, bad }] of ticksOf(vm.serial, vm.name).entries())
    assert.deepEqual([number, bad], [index + 1, 0])
})

test('a process that a killed update has started to be the next QEMU is the only one, and gets the guest', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const begun = join(folder, 'begun')
  const vm = await startTinyVm(t, pool, 'starting', {
    options: quitFirst(folder),
    // That process has the VM's lock meanwhile, and is not on record.
    runOptions: ['--before', `touch ${begun}; sleep 1`],
  })
  rmSync(begun)
  const update = spawn(process.execPath, typed(...UPDATE, pool.mountPoint), { stdio: 'ignore' })
  const ended = once(update, 'exit')
  await untilMade(begun)
  update.kill('SIGKILL')
  await ended
  const { report } = await resumeVms(pool)
  assert.equal(report.vms[0]?.outcome, 'resumed', JSON.stringify(report))
  assert.deepEqual(await qemusOf(vm), [qemuPid(vm.name)])
  assert.ok(existsSync(vmPaths(vm.name).lock), 'and holds the lock that the next command looks for')
  const before = ticksOf(vm.serial, vm.name).length
  await until('it ticks', () => ticksOf(vm.serial, vm.name).length > before + 2)
  for (const [index, { number, bad }] of ticksOf(vm.serial, vm.name).entries())
    assert.deepEqual([number, bad], [index + 1, 0])
})

test('a guest that was loaded and put on record, and not told to run, is as it was before: running, or paused by the operator', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'loaded')
  await updateVmm(pool)
  await monitor(vm.name, 'stop')
  assert.equal((await listVms(pool))[0]?.state, 'running')
  await resumeVms(pool)
  assert.equal(await status(vm.name), 'paused')
  for (const wasRunning of [false, true]) {
    // As after an update that was killed between the record and `cont`.
    await leaveUnderUpdate(vm, wasRunning)
    assert.equal((await listVms(pool))[0]?.state, 'stopped')
    // It would take the guest for one that the operator has paused.
    const again = await updateVmm(pool)
    assert.equal(again.status, 1)
    assert.match(again.stderr, /: its last update did not end: 'guestmemfs resume --name \S+' first$/m)
    const { report } = await resumeVms(pool)
    assert.equal(report.vms[0]?.outcome, 'resumed')
    assert.equal(await status(vm.name), wasRunning ? 'running' : 'paused')
    await isSetRight(pool, vm.name)
  }
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a guest whose update died before it was paused is set right by plain resume, and runs on', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'unpaused')
  await leaveUnderUpdate(vm, true)
  assert.equal((await listVms(pool))[0]?.state, 'running')
  await vm.serial.moreTicks(2)
  const { report, status: code } = await resumeVms(pool)
  assert.deepEqual([report.vms[0]?.outcome, code], ['resumed', 0])
  await isSetRight(pool, vm.name)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a guest that the operator has migrated away is not continued', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'away')
  await monitor(vm.name, 'migrate', { uri: `file:${join(scratchFolder(t), 'elsewhere')}` })
  const deadline = performance.now() + 30_000
  while ((await status(vm.name)) !== 'postmigrate') {
    assert.ok(performance.now() < deadline)
    await sleep(20)
  }
  await resumeVms(pool)
  assert.equal(await status(vm.name), 'postmigrate')
})

async function leaveUnderUpdate({ name, ramFile }: TestVm, wasRunning: boolean): Promise<void> {
  writeDefinition({ ...(readDefinition(ramFile) as VmDefinition), underUpdate: { wasRunning } })
  await monitor(name, 'migrate-set-parameters', { mode: 'cpr-reboot' })
}

async function isSetRight(pool: VmPool, name: string): Promise<void> {
  assert.equal((await listVms(pool))[0]?.state, 'running')
  const { mode } = (await monitor(name, 'query-migrate-parameters')) as { mode: string }
  assert.equal(mode, 'normal', 'an ordinary migration would lose its RAM')
  const { report } = await resumeVms(pool)
  assert.deepEqual(report?.vms ?? [], [], 'there is nothing left to do')
}

const status = async (name: string) => ((await monitor(name, 'query-status')) as { status: string }).status

async function untilMade(path: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!existsSync(path) && performance.now() < deadline) await sleep(1)
}

async function killedUpdate(pool: VmPool, name: string, delayMs: number): Promise<void> {
  const update = spawn(process.execPath, typed(...UPDATE, pool.mountPoint), { stdio: 'ignore' })
  const ended = once(update, 'exit')
  await untilMade(pool.path(`${name}.vmstate`))
  await sleep(delayMs)
  update.kill('SIGKILL')
  await ended
}

/** The ticks on the terminal, then those in the log, to which a resumed guest writes. */
function ticksOf(terminal: Serial, name: string) {
  try {
    return [...terminal.ticks(), ...new Serial(vmPaths(name).log).ticks()]
  } catch {
    return terminal.ticks()
  }
}
