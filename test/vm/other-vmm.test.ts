/**
 * Tests of guests of another VMM than QEMU (docs/reference/contract.md): a program that counts in the RAM
 * that it maps, by its own `--save`, `--cancel` and `--start`.
 */
import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { UpdateSteps } from '../../src/liveupdate/kernel/update-steps.ts'
import { readDefinition, type VmDefinition } from '../../src/qemu/vm-definition.ts'
import { readVms } from '../../src/qemu/vm-list.ts'
import { saveVmm } from '../../src/qemu/vmm/save-vmm.ts'
import type { ProcessIdentity } from '../../src/run/process-identity.ts'
import { readRuntime } from '../../src/run/vm-runtime.ts'
import { guestmemfs, until } from '../mount/support.ts'
import {
  kill,
  listVms,
  mountVmPool,
  qemuPid,
  resumeVms,
  runVm,
  scratchFolder,
  type TestVm,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

const TOY = join(import.meta.dirname, 'toy-vmm.ts')
const NODE = `${process.execPath} --disable-warning=ExperimentalWarning`

interface OtherVm extends TestVm {
  /** While this file is there that command fails. */
  readonly fail: (command: 'save' | 'start') => string
}

async function startToy(t: TestContext, pool: VmPool, word: string): Promise<OtherVm> {
  const folder = scratchFolder(t)
  const ramFile = pool.path(word)
  closeSync(openSync(ramFile, 'w'))
  truncateSync(ramFile, 64 << 20)
  const [saved, fail] = [join(folder, 'saved'), (command: string) => join(folder, `fail-${command}`)]
  const options = [
    ...['--ram', ramFile],
    ...[
      '--save',
      `[ ! -e ${fail('save')} ] && kill -USR2 $GUESTMEMFS_PID && until [ -e ${saved} ]; do sleep 0.02; done`,
    ],
    ...['--cancel', 'kill -HUP $GUESTMEMFS_PID'],
    ...[
      '--start',
      `rm -f ${saved}; [ ! -e ${fail('start')} ] && exec ${NODE} ${TOY} ${ramFile} ${folder} start`,
    ],
  ]
  const line = [...NODE.split(' '), TOY, ramFile, folder]
  const vm = runVm(pool, folder, vmName(word), ramFile, options, line)
  await vm.serial.until(1)
  return { ...vm, fail }
}

async function goesOn({ serial }: TestVm): Promise<void> {
  await serial.moreTicks(3)
  assert.equal(serial.findBreak(), undefined)
}

test('its program is replaced, its guest goes on, and what is not compared is said', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startToy(t, pool, 'toy')
  const before = qemuPid(vm.name)
  for (const _ of [1, 2]) {
    const { status, stderr, report } = await updateVmm(pool)
    assert.equal(status, 0, stderr)
    assert.match(stderr, /VM \S+: not compared: not a QEMU/)
    assert.equal(report.vms[0]?.outcome, 'updated')
    await goesOn(vm)
  }
  assert.notEqual(qemuPid(vm.name), before)
  assert.deepEqual(
    (await listVms(pool)).map(({ name, state }) => [name, state]),
    [[vm.name, 'running']],
  )
  assert.deepEqual(readdirSync(pool.mountPoint), ['toy'])
})

test('a save that fails: its guest goes on in its program', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startToy(t, pool, 'unsaved')
  const pid = qemuPid(vm.name)
  writeFileSync(vm.fail('save'), '')
  const { report } = await updateVmm(pool)
  assert.equal(report.vms[0]?.outcome, 'rolled-back')
  assert.match(report.vms[0].problem ?? '', /--save '.*' ended with status 1/)
  assert.equal(qemuPid(vm.name), pid)
  await goesOn(vm)
})

test('a start that fails: it stays saved, nothing else takes its RAM, and it is resumed later', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startToy(t, pool, 'kept')
  writeFileSync(vm.fail('start'), '')
  const { report } = await updateVmm(pool)
  assert.equal(report.vms[0]?.outcome, 'saved')
  assert.equal((await listVms(pool))[0]?.state, 'saved')
  const again = ['run', '--name', vmName('again'), '--ram', vm.ramFile]
  const commands = ['--save', 'true', '--cancel', 'true', '--start', 'true']
  const { status, stderr } = await guestmemfs(...again, ...commands, '--', 'true')
  assert.deepEqual([status, /is saved: continue it with/.test(stderr)], [1, true])
  rmSync(vm.fail('start'))
  const resumed = await resumeVms(pool)
  assert.deepEqual([resumed.status, resumed.report.vms[0]?.outcome], [0, 'resumed'])
  assert.equal((await listVms(pool))[0]?.state, 'running')
})

test('a kernel update stops it in its program, and rolling back has it go on there', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startToy(t, pool, 'jumper')
  const pid = qemuPid(vm.name)
  const steps = new UpdateSteps(
    {
      vms: readVms([vm.ramFile]).vms,
      recorded: [vm.ramFile],
      pools: [{ pool: pool.pool, mountPoint: pool.mountPoint, by: 'carve-out' }],
      lines: new Map(),
      ...{ timeoutMs: 20_000, patienceMs: 10_000, left: [] },
      change: { via: 'kexec', before: '6.12', next: '7.3' },
    },
    Date.now(),
  )
  await steps.suspendAll()
  assert.ok((readDefinition(vm.ramFile)?.saved?.sizeBytes ?? 0) > 0)
  const ticks = vm.serial.ticks().length
  steps.freeze()
  const timelines = await steps.rollBack()
  assert.deepEqual(
    timelines.map(({ outcome, problem }) => [outcome, problem]),
    [['rolled-back', null]],
  )
  assert.equal(qemuPid(vm.name), pid)
  assert.ok(vm.serial.ticks().length >= ticks)
  await goesOn(vm)
  assert.equal(existsSync(pool.path(`${vm.name}.vmstate`)), false)
})

test('an update that was killed after the save: vms says so, and resume has it go on in its program', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startToy(t, pool, 'killed')
  const definition = readDefinition(vm.ramFile) as VmDefinition
  const process = readRuntime(vm.name)?.qemu as ProcessIdentity
  await saveVmm({ definition, vmm: process, timeoutMs: 20_000, onStep: () => {} })
  assert.equal((await listVms(pool))[0]?.state, 'stopped')
  const refused = await updateVmm(pool)
  assert.match(refused.stderr, /its last update did not end: 'guestmemfs resume --name \S+' first/)
  const { status, report } = await resumeVms(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'resumed'])
  assert.equal(qemuPid(vm.name), process.pid)
  await goesOn(vm)
  assert.deepEqual(readDefinition(vm.ramFile), definition)
})

test('one that ends in order is on record no more; a killed one is dead, and its RAM is there', async (t) => {
  const pool = await mountVmPool(t)
  const [ended, dead] = [await startToy(t, pool, 'ended'), await startToy(t, pool, 'dead')]
  kill(qemuPid(ended.name), 'SIGINT')
  assert.equal(await ended.ended, 0)
  kill(qemuPid(dead.name))
  await dead.ended
  await until('the record is gone', async () => (await listVms(pool)).length === 1)
  assert.deepEqual(
    (await listVms(pool)).map(({ name, state }) => [name, state]),
    [[dead.name, 'dead']],
  )
})

test('options that do not go together, and RAM that is no file with a size, are refused in one line', async (t) => {
  const pool = await mountVmPool(t)
  const refused = async (words: RegExp, ...options: string[]) => {
    const { status, stderr } = await guestmemfs('run', '--pool', pool.mountPoint, ...options, '--', 'true')
    assert.equal(status, 1)
    assert.match(stderr, words)
  }
  const commands = ['--save', 'a', '--cancel', 'b', '--start', 'c']
  await refused(/another VMM needs all of --ram, --save, --cancel and --start/, ...commands)
  await refused(/another VMM needs all of/, '--ram', pool.path('x'), '--save', 'a')
  await refused(/--ram \S+ has no size: 'truncate -s SIZE/, '--ram', pool.path('x'), ...commands)
  await refused(/--ram \/tmp\/x is in no mounted pool/, '--ram', '/tmp/x', ...commands)
  assert.deepEqual(readdirSync(pool.mountPoint), [])
})
