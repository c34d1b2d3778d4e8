/** Tests of the process that `resume` makes for a saved guest: it is QEMU, or there is none. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync, renameSync } from 'node:fs'
import { test } from 'node:test'
import { openFiles } from '../../src/linux/open-files.ts'
import { readProcessLimits } from '../../src/linux/process-limits.ts'
import { missingHostFiles } from '../../src/qemu/host-files.ts'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { moodyQemu } from './fake-qemu.ts'
import { leaveSaved } from './leave-saved.ts'
import { Serial } from './serial.ts'
import { listVms, mountVmPool, qemuPid, quitFirst, resumeVms, scratchFolder, startTinyVm } from './support.ts'

test('a resumed guest has a QEMU as `run` makes it, and none where its program is not there', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'saved', { qemu: qemu.path, options: quitFirst(scratchFolder(t)) })
  const limits = readProcessLimits(qemuPid(vm.name))
  await leaveSaved(pool, qemu)
  const hostFiles = readDefinition(vm.ramFile)?.hostFiles
  assert.ok(hostFiles !== undefined && !hostFiles.mounts.includes(pool.mountPoint))
  assert.deepEqual(missingHostFiles(hostFiles), { mounts: [], devices: [] }, 'what it had is there still')
  const lastTick = vm.serial.ticks().length

  renameSync(qemu.path, `${qemu.path}.gone`)
  const refused = await resumeVms(pool)
  assert.equal(refused.report.vms[0]?.outcome, 'saved')
  assert.match(refused.report.vms[0].problem ?? '', /qemu-moody does not start: .*ENOENT/)
  assert.equal((await listVms(pool))[0]?.state, 'saved')
  assert.deepEqual(processesOf(vmPaths(vm.name).lock), [], 'no process is left that has its lock')
  renameSync(`${qemu.path}.gone`, qemu.path)

  const { status, report } = await resumeVms(pool)
  assert.equal(status, 0, JSON.stringify(report))
  const pid = qemuPid(vm.name)
  const [, , , session] = statOf(pid)
  assert.match(readlinkSync(`/proc/${pid}/exe`), /\/qemu-system-x86_64$/)
  assert.equal(session, String(pid), 'a session of its own')
  assert.match(readlinkSync(`/proc/${pid}/fd/3`), /^socket:/)
  assert.deepEqual(processesOf(vmPaths(vm.name).lock), [pid], 'QEMU alone has the lock of its VM')
  const recorded = readDefinition(vm.ramFile)?.limits ?? limits
  assert.deepEqual(readProcessLimits(pid)?.resources, recorded?.resources)
  const log = new Serial(vmPaths(vm.name).log)
  await log.moreTicks(3)
  assert.equal(log.ticks()[0]?.number, lastTick + 1, 'it goes on with the tick after its last')
  assert.ok(log.ticks().every(({ bad }) => bad === 0))
})

/** Those that have the file open. */
const processesOf = (path: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => openFiles(pid)?.some((file) => file.path === path))

/** Fields of /proc/PID/stat from the third on. */
const statOf = (pid: number): string[] =>
  (readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1) as string).split(' ')
