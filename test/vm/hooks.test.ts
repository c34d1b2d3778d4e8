/**
 * Tests of commands before each QEMU of a guest and after its end: helpers that end with the QEMU that had
 * them.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runHook } from '../../src/qemu/hooks.ts'
import { until } from '../mount/support.ts'
import {
  kill,
  listVms,
  mountVmPool,
  QEMU,
  ramOptions,
  resumeVms,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  startTinyVm,
  updateVmm,
  vmName,
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

test('a signal to run ends the command that it waits for, and no QEMU is started', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const pid = join(folder, 'pid')
  for (const [word, command] of [
    ['told', `sleep 600 & echo $! >${pid}; wait`],
    ['minds-none', `trap : TERM; sleep 600 & echo $! >${pid}; wait; true`],
  ] as const) {
    const options = ['--before', command]
    const ramFile = pool.path(word)
    const line = [QEMU, ...SMALL_MACHINE, ...ramOptions(ramFile)]
    const vm = runVm(pool, folder, vmName(word), ramFile, options, line)
    await until('the command', () => existsSync(pid))
    kill(vm.process.pid as number, 'SIGTERM')
    assert.equal(await vm.ended, 1)
    assert.match(vm.errors(), /--before '.*' got SIGTERM/s)
    // One that has ended, and that its parent has not waited for yet, has no command line.
    await until('its end', () => linesOf(`/proc/${linesOf(pid)[0]}/cmdline`).join('') === '')
    assert.deepEqual(await listVms(pool), [])
    rmSync(pid)
  }
})
