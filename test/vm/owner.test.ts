/**
 * Owns the rights of a VM's unprivileged owner: its QEMU runs as that user, who cannot change what root
 * starts.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { guestmemfs } from '../mount/support.ts'
import {
  mountVmPool,
  QEMU,
  qemuPid,
  ramOptions,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  type TestVm,
  tinyKernel,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

const NOBODY = 65534

test('QEMU runs as the given user, before and after an update, and never as root', async (t) => {
  const { pool, vm } = await startNobodysVm(t, 'nobody')
  assert.deepEqual(identityOf(qemuPid(vm.name)), [NOBODY, NOBODY])
  assert.equal(statSync(vm.ramFile).uid, NOBODY)
  const { status, report } = await updateVmm(pool)
  assert.equal(status, 0, JSON.stringify(report))
  assert.deepEqual(identityOf(qemuPid(vm.name)), [NOBODY, NOBODY])
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('the owner of the RAM file can neither read nor write nor remove the record', async (t) => {
  const { vm } = await startNobodysVm(t, 'record')
  const tries = execFileSync(process.execPath, [join(import.meta.dirname, 'as-nobody.ts'), vm.ramFile], {
    uid: NOBODY,
    gid: NOBODY,
    encoding: 'utf8',
  })
  assert.equal(tries, 'ENODATA EPERM EPERM written', 'their own attributes are theirs to write')
})

test('a state file name that leads elsewhere is not followed', async (t) => {
  const { pool, vm } = await startNobodysVm(t, 'link')
  const precious = join(scratchFolder(t), 'precious')
  writeFileSync(precious, 'root only')
  symlinkSync(precious, join(dirname(vm.ramFile), `${vm.name}.vmstate`))
  const { status, report } = await updateVmm(pool)
  assert.equal(status, 0, JSON.stringify(report))
  assert.equal(readFileSync(precious, 'utf8'), 'root only')
  assert.equal(statSync(precious).uid, 0)
})

test('a RAM file that its owner renamed holds up nobody else', async (t) => {
  const { pool, vm } = await startNobodysVm(t, 'moved')
  renameSync(vm.ramFile, `${vm.ramFile}.away`)
  const listed = await guestmemfs('vms', '--mount', pool.mountPoint)
  assert.equal(listed.status, 1)
  assert.match(
    listed.stderr,
    /VM moved-\d+ is recorded on .*moved\.away but its RAM is .*moved: rename the file back/,
  )
  renameSync(`${vm.ramFile}.away`, vm.ramFile)
  const { status } = await updateVmm(pool)
  assert.equal(status, 0)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

/** A VM of nobody's in a directory of nobody's, started by root on their behalf. */
async function startNobodysVm(t: TestContext, word: string): Promise<{ pool: VmPool; vm: TestVm }> {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const theirs = pool.path('theirs')
  mkdirSync(theirs)
  chownSync(theirs, NOBODY, NOBODY)
  for (const path of [folder, pool.mountPoint]) letOthersIn(t, path)
  const line = [QEMU, ...SMALL_MACHINE, ...ramOptions(join(theirs, word)), '-serial', 'stdio']
  const kernel = ['-kernel', tinyKernel(folder)]
  const vm = runVm(
    pool,
    folder,
    vmName(word),
    join(theirs, word),
    ['--user', String(NOBODY)],
    [...line, ...kernel],
  )
  await Promise.race([vm.serial.until(1), vm.ended.then(() => assert.fail(vm.errors()))])
  return { pool, vm }
}

/** Real and effective user of a process. */
function identityOf(pid: number): number[] {
  const [, real, effective] = /^Uid:\t(\d+)\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return [Number(real), Number(effective)]
}

/** Test folders are private; another user needs the way down to this one, for as long as the test runs. */
function letOthersIn(t: TestContext, path: string): void {
  for (let at = path; at !== '/'; at = dirname(at)) {
    const { mode } = statSync(at)
    if ((mode & 0o001) !== 0) continue
    chmodSync(at, mode | 0o011)
    if (at !== path) t.after(() => chmodSync(at, mode))
  }
}
