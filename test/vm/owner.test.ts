/**
 * Tests of the rights of a VM's unprivileged owner: its QEMU runs as that user, who cannot change what root
 * starts.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { guestmemfs } from '../mount/support.ts'
import { forOthers, NOBODY, startNobodysVm } from './nobodys-vm.ts'
import { qemuPid, scratchFolder, updateVmm } from './support.ts'

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
  const [node, program] = forOthers(t, join(import.meta.dirname, 'as-nobody.ts'))
  const tries = execFileSync(node, [program, vm.ramFile], { uid: NOBODY, gid: NOBODY, encoding: 'utf8' })
  assert.equal(tries, 'ENODATA EPERM EPERM written', 'their own attributes are theirs to write')
})

test("a guest's RAM is its user's alone, and each QEMU has one umask, whatever the callers'", async (t) => {
  const before = process.umask(0)
  t.after(() => process.umask(before))
  const { pool, vm } = await startNobodysVm(t, 'private')
  const { mode, uid, gid } = statSync(vm.ramFile)
  assert.deepEqual([mode & 0o7777, uid, gid], [0o600, NOBODY, NOBODY])
  assert.equal(umaskOf(qemuPid(vm.name)), '0022')
  process.umask(0o077)
  assert.equal((await updateVmm(pool)).status, 0)
  assert.equal(umaskOf(qemuPid(vm.name)), '0022')
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

test('a RAM file that its owner renamed holds up no other guest', async (t) => {
  const { pool, vm } = await startNobodysVm(t, 'moved')
  renameSync(vm.ramFile, `${vm.ramFile}.away`)
  const listed = await guestmemfs('vms', pool.mountPoint)
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

/** Real and effective user of a process. */
function identityOf(pid: number): number[] {
  const [, real, effective] = /^Uid:\t(\d+)\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return [Number(real), Number(effective)]
}

const umaskOf = (pid: number): string | undefined =>
  /^Umask:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
