/**
 * Attacks of a guest's owner on root, who updates the guest: a directory swapped during the update, programs
 * and libraries in the recorded environment.
 */
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { lgetxattr } from '../../src/linux/xattr.ts'
import type { UpdateReport } from '../../src/liveupdate/report/update-report.ts'
import { ENODATA } from '../../src/values/errno.ts'
import { VM_XATTR } from '../../src/values/xattr-names.ts'
import { swappingQemu } from './fake-qemu.ts'
import { NOBODY, nobodysGround, startNobodysProgram, startNobodysVm } from './nobodys-vm.ts'
import {
  listVms,
  monitor,
  QEMU,
  qemuPid,
  quitFirst,
  ramOptions,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  type TestVm,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

/** Every user may read it, and only root write. */
function rootsFolder(t: TestContext): string {
  const folder = scratchFolder(t)
  chmodSync(folder, 0o755)
  return folder
}

async function startSwapping(
  t: TestContext,
  moment: 'greeting' | 'migrate' | 'after-save',
): Promise<{ pool: VmPool; vm: TestVm; outside: string }> {
  const ground = await nobodysGround(t)
  const outside = rootsFolder(t)
  const directory = join(ground.theirs, 'vm')
  mkdirSync(directory)
  chownSync(directory, NOBODY, NOBODY)
  const qemu = swappingQemu(t, ground.folder, [moment, directory, outside])
  // So that its next QEMU is not asked before the moment of the attack.
  const options = quitFirst(ground.theirs)
  const vm = await startNobodysProgram(ground, moment, qemu, join(directory, 'ram'), options)
  return { pool: ground.pool, vm, outside }
}

/** The update of that guest was refused in one line, and it has the same QEMU. */
function assertGoesOn(report: UpdateReport, { name }: TestVm, pid: number, reason: RegExp): void {
  const [timeline] = report.vms
  assert.equal(timeline?.outcome, 'rolled-back', JSON.stringify(report))
  assert.match(timeline?.problem ?? '', reason)
  assert.doesNotMatch(timeline?.problem ?? '', /\n|\/proc\//)
  assert.equal(qemuPid(name), pid)
  assert.ok(existsSync(`/proc/${pid}`))
}

test('a directory swapped while the update waits for QEMU leads root nowhere', async (t) => {
  const { pool, vm, outside } = await startSwapping(t, 'greeting')
  const pid = qemuPid(vm.name)
  writeFileSync(join(outside, 'ram'), "root's", { mode: 0o600 })
  const { report } = await updateVmm(pool, '--timeout', '5s')
  assert.deepEqual(readdirSync(outside), ['ram'], 'root made a file where root alone may write')
  assertGoesOn(report, vm, pid, /could not be recorded on \S+: a directory of its path was replaced/)
})

test('nor one that is swapped while the guest is saved: nothing of root’s is read, marked or removed', async (t) => {
  const { pool, vm, outside } = await startSwapping(t, 'migrate')
  const [ram, state] = [join(outside, 'ram'), join(outside, `${vm.name}.vmstate`)]
  for (const path of [ram, state]) writeFileSync(path, "root's", { mode: 0o600 })
  const pid = qemuPid(vm.name)
  const { report } = await updateVmm(pool, '--timeout', '5s')
  assert.equal(lgetxattr(ram, VM_XATTR), ENODATA, 'root wrote the record onto a file of its own')
  assert.equal(readFileSync(state, 'utf8'), "root's")
  assertGoesOn(report, vm, pid, /vmstate: a directory of its path was replaced/)
  assert.deepEqual(await listVms(pool).then((vms) => vms.length), 0, 'what was swapped away is on no record')
})

test('a QEMU that saves, and then answers no question, has its guest go on', async (t) => {
  const { pool, vm } = await startSwapping(t, 'after-save')
  const pid = qemuPid(vm.name)
  const { report } = await updateVmm(pool, '--timeout', '5s')
  assertGoesOn(report, vm, pid, /query-block: not today/)
  assert.deepEqual(await monitor(vm.name, 'query-status'), { status: 'running', running: true })
})

test('no root process runs what the recorded environment names: PATH, loader and Node', async (t) => {
  const evil = scratchFolder(t)
  chmodSync(evil, 0o777)
  const report = [
    '#!/bin/sh',
    `/usr/bin/id -u >>${evil}/ran-as`,
    'exec "/usr/bin/$(/usr/bin/basename "$0")" "$@"',
    '',
  ]
  for (const name of ['setpriv', 'env', 'id', 'getent', 'truncate', 'node', 'sh'])
    writeFileSync(join(evil, name), report.join('\n'), { mode: 0o755 })
  writeFileSync(
    join(evil, 'required.cjs'),
    `require('node:fs').appendFileSync('${evil}/ran-as', process.getuid() + '\\n')`,
  )
  const variables = {
    PATH: `${evil}:/usr/bin:/bin`,
    // The loader of every program with these variables writes a file, as the user that it runs as.
    LD_DEBUG: 'files',
    LD_DEBUG_OUTPUT: `${evil}/loaded`,
    NODE_OPTIONS: `--require=${evil}/required.cjs`,
  }
  const runOptions = Object.entries(variables).flatMap(([name, value]) => ['--env', `${name}=${value}`])
  const qemu = QEMU
  const { pool, vm } = await startNobodysVm(t, 'evil', { qemu, runOptions })
  const { status } = await updateVmm(pool)
  assert.equal(status, 0)
  await vm.serial.moreTicks(1)

  const owners = readdirSync(evil)
    .filter((name) => name.startsWith('loaded.'))
    .map((name) => statSync(join(evil, name)).uid)
  assert.ok(owners.length >= 2, 'both QEMUs were given the recorded environment')
  assert.deepEqual(new Set(owners), new Set([NOBODY]))
  const ranAs = existsSync(join(evil, 'ran-as')) ? readFileSync(join(evil, 'ran-as'), 'utf8') : ''
  assert.doesNotMatch(ranAs, /^0$/m)
  const environment = readFileSync(`/proc/${qemuPid(vm.name)}/environ`, 'utf8').split('\0')
  for (const [name, value] of Object.entries(variables)) assert.ok(environment.includes(`${name}=${value}`))
  // No other user may read the values: so they must not be in a command line.
  assert.doesNotMatch(readFileSync(`/proc/${qemuPid(vm.name)}/cmdline`, 'utf8'), /LD_DEBUG/)
})

test("a guest of root's is refused where its user could swap the directory of its RAM", async (t) => {
  const { pool, folder, theirs } = await nobodysGround(t)
  const ram = join(theirs, 'ram')
  const line = [QEMU, ...SMALL_MACHINE, ...ramOptions(ram)]
  const vm = runVm(pool, folder, vmName('roots'), ram, ['--user', 'root'], line)
  const status = await Promise.race([vm.ended, sleep(10_000, 'it runs', { ref: false })])
  assert.equal(status, 1)
  assert.match(
    vm.errors(),
    /^guestmemfs: QEMU would open .*ram as root, and others than root can change .*theirs: /m,
  )
  assert.equal(existsSync(ram), false, 'nothing was made')
})
