/** Tests of failures around a guest: each ends in one clear line, and no guest is lost. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { guestmemfs, typed } from '../mount/support.ts'
import { brokenQemu, moodyQemu, oldQemu } from './fake-qemu.ts'
import { Serial } from './serial.ts'
import {
  kill,
  listVms,
  monitor,
  mountVmPool,
  QEMU,
  qemuPid,
  quitFirst,
  ramOptions,
  resumeVms,
  SMALL_MACHINE,
  scratchFolder,
  startTinyVm,
  updateVmm,
} from './support.ts'

test('a new QEMU that does not take the guest: it goes on in the old one', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'back', { options: quitFirst(scratchFolder(t)) })
  const { status, report } = await updateVmm(pool, '--qemu', brokenQemu(scratchFolder(t)))
  assert.equal(status, 1)
  const [timeline] = report.vms
  assert.equal(timeline?.outcome, 'rolled-back')
  assert.match(
    timeline.problem ?? '',
    /ended with status 3 before it answered.*runs in .*qemu-system-x86_64 again/,
  )
  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
  assert.equal(await vm.ended, 0, 'its old QEMU ended first')
})

test('no QEMU loads the guest: it is saved; a damaged state file is refused; then it is resumed', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'kept', {
    qemu: qemu.path,
    options: quitFirst(scratchFolder(t)),
  })
  qemu.set('exit 7')
  const failed = await updateVmm(pool)
  assert.equal(failed.status, 1)
  assert.equal(failed.report.vms[0]?.outcome, 'saved')
  assert.match(
    failed.report.vms[0].problem ?? '',
    /status 7.*are kept: go on with 'guestmemfs resume --name kept-\d+'/,
  )
  assert.equal(await vm.ended, 0)
  assert.equal((await listVms(pool))[0]?.state, 'saved')
  qemu.reset()

  const again = await guestmemfs(
    'run',
    '--pool',
    pool.mountPoint,
    '--',
    qemu.path,
    ...SMALL_MACHINE,
    ...ramOptions(vm.ramFile),
  )
  assert.match(again.stderr, /is saved: continue it with 'guestmemfs resume --name kept-\d+'/)

  const stateFile = pool.path(`${vm.name}.vmstate`)
  const state = readFileSync(stateFile)
  for (const [damaged, reason] of [
    [state.subarray(0, -1), /has \d+ bytes, \d+ were saved; its RAM is kept/],
    [Buffer.from(state).fill(0xff, 100, 101), /not what was saved \(checksum\); its RAM is kept/],
  ] as const) {
    writeFileSync(stateFile, damaged)
    const refused = await resumeVms(pool, '--name', vm.name)
    assert.equal(refused.status, 1)
    assert.match(refused.report.vms[0]?.problem ?? '', reason)
    assert.equal((await listVms(pool))[0]?.state, 'saved')
  }

  const asPool = await guestmemfs('resume', vm.name)
  assert.deepEqual(
    [asPool.status, asPool.stderr],
    [1, `guestmemfs: ${vm.name} is a VM, no pool: type 'guestmemfs resume --name ${vm.name}'\n`],
  )

  const shown = (await guestmemfs('status', pool.pool)).stdout
  assert.match(shown, new RegExp(`^guests +1 saved \\(${vm.name}\\)$`, 'm'))
  assert.match(shown, /^to do +'guestmemfs resume' starts what is saved$/m)

  writeFileSync(stateFile, state)
  const ticks = vm.serial.ticks().length
  const { status, report } = await resumeVms(pool)
  assert.equal(status, 0, JSON.stringify(report))
  await sleep(500)
  const log = new Serial(vmPaths(vm.name).log)
  await log.moreTicks(3)
  assert.equal(log.ticks()[0]?.number, ticks + 1, 'it goes on with the tick after its last')
  assert.ok(log.ticks().every(({ bad }) => bad === 0))
})

test('a QEMU that does not answer is named, and holds back the others only if that is asked for', async (t) => {
  const pool = await mountVmPool(t)
  const deaf = await startTinyVm(t, pool, 'deaf')
  const fine = await startTinyVm(t, pool, 'fine', { seed: 2 })
  const pids = [qemuPid(deaf.name), qemuPid(fine.name)]
  kill(pids[0] as number, 'SIGSTOP')
  const { status, report } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.deepEqual(
    report.vms.map(({ name, outcome }) => [name, outcome]),
    [
      [fine.name, 'updated'],
      [deaf.name, 'refused'],
    ],
  )
  assert.match(report.vms[1]?.problem ?? '', /^QMP socket .*\/qmp: no greeting within 5 s$/)
  assert.equal(qemuPid(deaf.name), pids[0])
  const updated = qemuPid(fine.name)
  assert.notEqual(updated, pids[1])

  const none = await updateVmm(pool, '--all-or-none')
  kill(pids[0] as number, 'SIGCONT')
  assert.equal(none.status, 1)
  assert.match(none.stderr, /^guestmemfs: VM deaf-\d+: QMP socket .*\/qmp: no greeting within 5 s$/m)
  assert.deepEqual([qemuPid(deaf.name), qemuPid(fine.name)], [pids[0], updated])
  for (const { serial } of [deaf, fine]) {
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  }
})

test('a QEMU without cpr-reboot is refused, to start with and to update to', async (t) => {
  const pool = await mountVmPool(t)
  const old = oldQemu(scratchFolder(t))
  const refused = await guestmemfs('run', '--pool', pool.mountPoint, '--', old, ...ramOptions(pool.path('x')))
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /is QEMU 7\.2\.22: cpr-reboot needs 8\.2\.0 or newer/)
  const missing = await guestmemfs(
    'run',
    '--pool',
    pool.mountPoint,
    '--',
    '/nowhere/qemu',
    ...ramOptions(pool.path('x')),
  )
  assert.match(missing.stderr, /\/nowhere\/qemu is not there: install QEMU 8\.2\.0 or newer/)

  const vm = await startTinyVm(t, pool, 'new')
  const pid = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool, '--qemu', old)
  assert.equal(status, 1)
  assert.match(stderr, /VM new-\d+: .*is QEMU 7\.2\.22/)
  assert.equal(qemuPid(vm.name), pid)
})

test('the update itself is killed while the new QEMU starts: resume finishes it', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'half', {
    qemu: qemu.path,
    options: quitFirst(scratchFolder(t)),
  })
  qemu.set('sleep 1')
  const update = spawn(process.execPath, typed('live-update', '--vmm-only', pool.mountPoint), {
    stdio: 'ignore',
  })
  const before = qemuPid(vm.name)
  while ([undefined, before].includes(readRuntime(vm.name)?.qemu?.pid)) await sleep(10)
  update.kill('SIGKILL')
  await once(update, 'exit')
  const { status, report } = await resumeVms(pool, '--name', vm.name)
  assert.equal(status, 0, JSON.stringify(report))
  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('-daemonize: run returns when QEMU is up, and says why when it does not come up', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'probe')
  await monitor(vm.name, 'quit').catch(() => {})
  await vm.ended
  const line = [...SMALL_MACHINE, ...ramOptions(vm.ramFile), '-daemonize']
  const run = (...more: string[]) =>
    guestmemfs(
      'run',
      '--name',
      vm.name,
      '--pool',
      pool.mountPoint,
      '--',
      'qemu-system-x86_64',
      ...line,
      ...more,
    )
  const failed = await run('-device', 'no-such-device')
  assert.equal(failed.status, 1)
  assert.match(failed.stderr, /no-such-device/)
  assert.deepEqual(await listVms(pool), [])
  const started = await run()
  assert.equal(started.status, 0, started.stderr)
  assert.equal((await listVms(pool))[0]?.state, 'running')
  const taken = await run()
  assert.match(taken.stderr, /VM probe-\d+ on .* is running \(process \d+\)/)
  assert.equal((await updateVmm(pool)).status, 0)
})

test('a guest whose next QEMU cannot be started stays on record as saved, and goes on later', async (t) => {
  const pool = await mountVmPool(t)
  const folder = join(scratchFolder(t), 'directory')
  mkdirSync(folder)
  const before = process.cwd()
  process.chdir(folder)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'homeless', {
    qemu: qemu.path,
    options: quitFirst(scratchFolder(t)),
  }).finally(() => process.chdir(before))
  // During the trial of the next one: the guest has not been paused, and the preflight has found no error.
  qemu.set(`mv ${folder} ${folder}.away`, 'even-tried')
  const { report } = await updateVmm(pool, '--timeout', '5s')
  assert.equal(report.vms[0]?.outcome, 'saved', JSON.stringify(report))
  await vm.ended
  assert.deepEqual(
    (await listVms(pool)).map(({ name, state }) => [name, state]),
    [[vm.name, 'saved']],
  )
  renameSync(`${folder}.away`, folder)
  qemu.reset()
  const resumed = await resumeVms(pool)
  assert.equal(resumed.status, 0, JSON.stringify(resumed.report))
})

test('a QEMU that does not take the guest says why, in the report', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const options = ['-device', 'virtio-rng-pci', ...quitFirst(scratchFolder(t))]
  await startTinyVm(t, pool, 'other', { qemu: qemu.path, options })
  // A machine other than the one that was saved.
  qemu.set(`set -- $(echo "$@" | sed s/virtio-rng-pci/virtio-balloon-pci/)`)
  const { report } = await updateVmm(pool)
  assert.equal(report.vms[0]?.outcome, 'saved')
  assert.match(report.vms[0].problem ?? '', /virtio-rng/)
  assert.doesNotMatch(report.vms[0].problem ?? '', /EPIPE|\n/)
  qemu.reset()
  assert.equal((await resumeVms(pool)).status, 0)
  assert.equal((await listVms(pool))[0]?.state, 'running')
})

test('the path of the old QEMU names one that does not take the guest: it runs on in the old program', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const qemu = join(folder, 'qemu-upgraded')
  cpSync(`/usr/bin/${QEMU}`, qemu)
  const vm = await startTinyVm(t, pool, 'upgraded', { qemu, options: quitFirst(folder) })
  await vm.serial.moreTicks(2)
  // As by an upgrade of its package: another file under the same name.
  renameSync(brokenQemu(folder), qemu)
  const { status, report } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.equal(report.vms[0]?.outcome, 'rolled-back', JSON.stringify(report))
  assert.match(
    report.vms[0].problem ?? '',
    /status 3 .*runs in the program that .*qemu-upgraded was before again/,
  )
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
  assert.equal(readDefinition(vm.ramFile)?.argv[0], qemu, 'what is on record is what the operator gave')
})
