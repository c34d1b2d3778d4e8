/**
 * Owns the tests of commands before each QEMU of a guest and after its end: helpers that end with the QEMU
 * that had them.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { installPackages, THIS_HOST, updateLists } from '../../src/host/apt.ts'
import { runHook } from '../../src/qemu/hooks.ts'
import {
  kill,
  listVms,
  mountVmPool,
  qemuPid,
  resumeVms,
  scratchFolder,
  startTinyVm,
  updateVmm,
} from './support.ts'

const linesOf = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [])

test('before each QEMU and after its end, in order', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const [log, stop] = [join(folder, 'log'), join(folder, 'stop')]
  const runOptions = [
    ...['--before', `echo before >>${log}`, '--before', `[ ! -e ${stop} ]`],
    ...['--after', `echo after >>${log}`],
  ]
  const vm = await startTinyVm(t, pool, 'hooked', { runOptions })
  assert.deepEqual(linesOf(log), ['before'])
  assert.equal((await updateVmm(pool)).status, 0)
  assert.deepEqual(linesOf(log), ['before', 'after', 'before'])
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)

  // A hook that fails leaves the guest saved, and the report says so.
  writeFileSync(stop, '')
  const { report } = await updateVmm(pool)
  assert.equal(report.vms[0]?.outcome, 'saved')
  assert.match(report.vms[0].problem ?? '', /--before '\[ ! -e .*stop \]' ended with status 1/)
  rmSync(stop)
  assert.equal((await resumeVms(pool)).status, 0)
  assert.equal((await listVms(pool))[0]?.state, 'running')
})

test('a command that fails before the first QEMU: nothing is started, nothing stays on record', async (t) => {
  const pool = await mountVmPool(t)
  await assert.rejects(
    startTinyVm(t, pool, 'never', { runOptions: ['--before', 'exit 3'] }),
    /run ended with status 1.*--before 'exit 3' ended with status 3/s,
  )
  assert.deepEqual(await listVms(pool), [])
})

test('a command that hangs is ended, with all that it has started', async () => {
  const vm = { name: 'hangs', cwd: '/', uid: 0, gid: 0, groups: [0], environment: {} }
  const started = performance.now()
  const failed = await runHook(vm, 'sleep 600 & sleep 600', [0, 1, 2], 300)
  assert.match(failed ?? '', /^'sleep 600 & sleep 600' did not end within 300 ms$/)
  assert.ok(performance.now() - started < 20_000)
})

test('a TPM of swtpm, which ends with the QEMU that it serves, is there for the next one', async (t) => {
  if (!existsSync('/usr/bin/swtpm')) {
    updateLists(THIS_HOST)
    installPackages(THIS_HOST, ['swtpm'], undefined)
  }
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const [socket, pid] = [join(folder, 'tpm'), join(folder, 'pid')]
  const swtpm = `swtpm socket --tpm2 --tpmstate dir=${folder} --ctrl type=unixio,path=${socket} --pid file=${pid} --daemon`
  const options = [
    ...['-chardev', `socket,id=tpm0,path=${socket}`, '-tpmdev', 'emulator,id=tpm0,chardev=tpm0'],
    ...['-device', 'tpm-crb,tpmdev=tpm0'],
  ]
  const vm = await startTinyVm(t, pool, 'tpm', { options, runOptions: ['--before', swtpm] })
  pool.endings.push(async () => kill(Number(linesOf(pid)[0])))
  const [before, helper] = [qemuPid(vm.name), linesOf(pid)[0]]
  const { status, stderr, report } = await updateVmm(pool)
  assert.equal(status, 0, `${stderr}${JSON.stringify(report)}`)
  assert.match(stderr, /its next QEMU was not tried beside it: .*tpm/)
  assert.notEqual(qemuPid(vm.name), before)
  assert.notEqual(linesOf(pid)[0], helper, 'another swtpm serves it')
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})
