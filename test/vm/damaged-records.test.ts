/**
 * Tests of records that were cut off or edited while the guest runs: each command prints one line and changes
 * nothing, and none treats the guest as one that does not run.
 */
import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { lgetxattr, lsetxattr } from '../../src/linux/xattr.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { EINVAL } from '../../src/values/errno.ts'
import { VM_XATTR } from '../../src/values/xattr-names.ts'
import { guestmemfs } from '../mount/support.ts'
import { linesOfPlan } from './plan-a-kernel.ts'
import {
  mountVmPool,
  QEMU,
  qemuPid,
  ramOptions,
  SMALL_MACHINE,
  scratchFolder,
  startTinyVm,
  type TestVm,
  tinyKernel,
  updateVmm,
  type VmPool,
} from './support.ts'

/** `line` is what every command says of it. */
interface Damage {
  readonly read: () => string
  readonly write: (text: string) => void
  readonly line: RegExp
}

type Edit = (text: string) => string
const cutOff: Edit = (text) => text.slice(0, text.length / 2)

const readRecord = ({ ramFile }: TestVm): string =>
  Buffer.from(lgetxattr(ramFile, VM_XATTR) as Uint8Array).toString()

const record = (vm: TestVm, line: RegExp): Damage => ({
  read: () => readRecord(vm),
  write: (text) => assert.equal(lsetxattr(vm.ramFile, VM_XATTR, Buffer.from(text)), undefined),
  line,
})

const file = (path: string, line: RegExp): Damage => ({
  read: () => readFileSync(path, 'utf8'),
  write: (text) => writeFileSync(path, text),
  line,
})

/** `run` of another VM on the same RAM. */
async function runOver(t: TestContext, pool: VmPool, { ramFile }: TestVm, ...options: string[]) {
  const line = [QEMU, ...SMALL_MACHINE, ...ramOptions(ramFile), '-kernel', tinyKernel(scratchFolder(t))]
  return await guestmemfs('run', '--name', 'over', '--pool', pool.mountPoint, ...options, '--', ...line)
}

async function allSayIt(t: TestContext, pool: VmPool, vm: TestVm, { line }: Damage): Promise<void> {
  const said = {
    vms: await guestmemfs('vms', pool.mountPoint),
    resume: await guestmemfs('resume', pool.mountPoint),
    'live-update': await guestmemfs('live-update', '--vmm-only', pool.mountPoint),
    run: await runOver(t, pool, vm),
    'run --replace': await runOver(t, pool, vm, '--replace'),
  }
  for (const [command, { status, stderr }] of Object.entries(said)) {
    assert.equal(status, 1, `${command}: ${stderr}`)
    assert.match(stderr, line, command)
    assert.equal(stderr.trimEnd().split('\n').length, 1, `${command}: ${stderr}`)
  }
  const plan = await linesOfPlan(t)
  assert.equal(plan.filter((text) => line.test(`${text}\n`)).length, 1, plan.join('\n'))
}

async function isUntouched(vm: TestVm, pid: number): Promise<void> {
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
  assert.equal(vm.process.exitCode, null)
  process.kill(pid, 0)
}

const NO_RECORD = /^guestmemfs: the record on \S+ is none of a VM: remove it with 'setfattr -h -x \S+ \S+'\n$/
const NOT_KNOWN =
  /^guestmemfs: VM \S+: whether it runs is not known, as \S+ is damaged: end its QEMU if it runs, then remove that file\n$/

const RECORDS: readonly (readonly [how: string, edit: Edit])[] = [
  ['with the name of a path', (text) => text.replace(/"name":"[^"]*"/, '"name":"../../pools"')],
  ['with a user below zero', (text) => text.replace(/"uid":\d+/, '"uid":-1')],
  ['without a command line', (text) => text.replace(/"argv":\[[^\]]*\]/, '"argv":[]')],
]

test('a record that is cut off, or none, is refused by the mount itself', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'cut')
  const whole = readRecord(vm)
  for (const text of [cutOff(whole), 'null', ''])
    assert.equal(lsetxattr(vm.ramFile, VM_XATTR, Buffer.from(text)), EINVAL, text)
  assert.equal(readRecord(vm), whole)
  assert.equal((await updateVmm(pool)).status, 0)
})

for (const [how, edit] of RECORDS)
  test(`the record of a VM that runs is ${how}`, async (t) => {
    const pool = await mountVmPool(t)
    const vm = await startTinyVm(t, pool, 'record')
    await damage(t, pool, vm, record(vm, NO_RECORD), edit)
  })

for (const [how, edit] of [
  ['cut off', cutOff],
  ['of another kind', () => '{"qemu": 7}'],
] as const)
  test(`the record of a VM's processes is ${how}`, async (t) => {
    const pool = await mountVmPool(t)
    const vm = await startTinyVm(t, pool, 'processes')
    await damage(t, pool, vm, file(vmPaths(vm.name).record, NOT_KNOWN), edit)
  })

async function damage(t: TestContext, pool: VmPool, vm: TestVm, what: Damage, edit: Edit): Promise<void> {
  const pid = qemuPid(vm.name)
  const whole = what.read()
  const damaged = edit(whole)
  assert.notEqual(damaged, whole)
  what.write(damaged)
  try {
    await allSayIt(t, pool, vm, what)
    assert.equal(what.read(), damaged, 'no command has written it')
    await isUntouched(vm, pid)
  } finally {
    what.write(whole)
  }
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, `mended, the guest is updated: ${stderr}`)
}

test('a kept reading that is cut off: the guest is refused, until the operator removes it', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'reading')
  const { machine } = vmPaths(vm.name)
  const pid = qemuPid(vm.name)
  const cut = cutOff(readFileSync(machine, 'utf8'))
  writeFileSync(machine, cut)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(
    stderr,
    /^guestmemfs: VM \S+: what was changed while it ran is not known, as \S+ is damaged: to update it all the same, remove that file\n$/,
  )
  assert.equal(readFileSync(machine, 'utf8'), cut)
  assert.equal(qemuPid(vm.name), pid)
  assert.equal((await guestmemfs('vms', pool.mountPoint)).stderr, '', 'it runs, and is listed')
  await isUntouched(vm, pid)
  rmSync(machine)
  assert.equal((await updateVmm(pool)).status, 0)
})
