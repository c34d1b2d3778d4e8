/**
 * Tests of a guest's helpers, the real ones of Debian: swtpm and virtiofsd, each of which serves one QEMU.
 * The guest finds its TPM and its open file again; a helper that cannot be followed by another one, hangs or
 * is gone keeps no update waiting, and costs no guest its memory.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { tryNextQemu } from '../../src/qemu/trial/try-next-qemu.ts'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { findHelper, missingHelper } from '../../testbed/debian/helpers.ts'
import { buildWatchingGuest, type Watched } from '../../testbed/guests/watching-guest.ts'
import { until } from '../mount/support.ts'
import { helperFolder, processesWith } from './helper-processes.ts'
import { runningMachine } from './running-machine.ts'
import {
  kill,
  listVms,
  monitor,
  mountVmPool,
  QEMU,
  qemuPid,
  ramOptions,
  resumeVms,
  runVm,
  SMALL_MACHINE,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

const HASH_RAM = join(import.meta.dirname, 'hash-ram.ts')
const BOOT_TIMEOUT_MS = 180_000
/** For each step of an update whose helper does not answer. */
const PATIENCE_MS = 5000
const options = { skip: await missingHelper('swtpm', 'virtiofsd'), timeout: 600_000 }
const old = { skip: await missingHelper('old virtiofsd'), timeout: 600_000 }

interface Helped {
  readonly pool: VmPool
  readonly folder: string
  readonly vm: TestVm
}

/** `before`: makes the commands before each QEMU, from the folder. */
async function startLinux(
  t: TestContext,
  word: string,
  watched: readonly Watched[],
  devices: (folder: string) => readonly string[],
  before: (folder: string) => readonly string[],
): Promise<Helped> {
  const pool = await mountVmPool(t, '512M')
  const folder = helperFolder(t, pool)
  const { kernel, initrd, commandLine, ramMebibytes } = await buildWatchingGuest(folder, watched)
  const line = [QEMU, ...SMALL_MACHINE, '-cpu', 'max', ...ramOptions(pool.path(word), `${ramMebibytes}M`)]
  line.push(
    '-kernel',
    kernel,
    '-initrd',
    initrd,
    '-append',
    commandLine,
    '-serial',
    'stdio',
    ...devices(folder),
  )
  const hooks = before(folder).flatMap((command) => ['--before', command])
  const vm = runVm(pool, folder, vmName(word), pool.path(word), hooks, line)
  await Promise.race([vm.serial.until(3, BOOT_TIMEOUT_MS), vm.ended.then(() => assert.fail(vm.errors()))])
  return { pool, folder, vm }
}

const tpmOf = (folder: string): string[] => [
  ...['-chardev', `socket,id=tpm0,path=${folder}/tpm`, '-tpmdev', 'emulator,id=tpm0,chardev=tpm0'],
  ...['-device', 'tpm-crb,tpmdev=tpm0'],
]
function shareOf(folder: string): string[] {
  mkdirSync(join(folder, 'shared'))
  return [
    ...['-chardev', `socket,id=fs0,path=${folder}/fs`],
    ...['-device', 'vhost-user-fs-pci,chardev=fs0,tag=share,id=share0'],
  ]
}
const swtpm = async (folder: string): Promise<string> =>
  `${await findHelper('swtpm')} socket --tpm2 --tpmstate dir=${folder} --ctrl type=unixio,path=${folder}/tpm --daemon`
/** Returns when it can be connected to. */
const virtiofsd = async (folder: string): Promise<string> =>
  `rm -f ${folder}/fs; ${await findHelper('virtiofsd')} --socket-path=${folder}/fs --shared-dir=${folder}/shared --sandbox=chroot 2>>${folder}/fs.log &
   until [ -S ${folder}/fs ]; do sleep 0.05; done`

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').trim().split('\n')

async function goesOn({ vm }: Helped, ticks = 3): Promise<void> {
  await vm.serial.moreTicks(ticks, 120_000)
  assert.equal(vm.serial.findBreak(), undefined, vm.serial.text().match(/fault: .*/)?.[0])
}

/** A trial of the recorded line with a shared folder changes no byte of the guest's RAM. */
async function expectUntouched(vm: TestVm): Promise<void> {
  const hashed = () => execFileSync(process.execPath, [HASH_RAM, vm.ramFile], { encoding: 'latin1' })
  await monitor(vm.name, 'stop')
  const before = hashed()
  const definition = readDefinition(vm.ramFile)
  assert.ok(definition)
  // The recorded line is without the overlay: the facts of disks are not compared here.
  const trial = await tryNextQemu(definition, definition.argv, await runningMachine(vm.name))
  assert.deepEqual(trial, { problems: [], remarks: [], unproven: [], without: ['tpm-crb'] })
  assert.equal(hashed(), before)
  await monitor(vm.name, 'cont')
}

test(
  'a Linux guest finds its TPM, its shared folder with an open file and its disks again',
  options,
  async (t) => {
    const [tpm, share] = [await swtpm('FOLDER'), await virtiofsd('FOLDER')]
    const helped = await startLinux(
      t,
      'helped',
      ['disks', 'tpm', 'share'],
      (folder) => {
        for (const disk of ['a', 'b']) writeFileSync(join(folder, disk), Buffer.alloc(1 << 20))
        return [
          ...[
            '-drive',
            `if=none,id=disk0,format=raw,file=${folder}/a`,
            '-device',
            'virtio-blk-pci,drive=disk0,id=vd0',
          ],
          ...[
            '-drive',
            `if=none,id=disk1,format=raw,file=${folder}/b`,
            '-device',
            'virtio-blk-pci,drive=disk1,id=vd1',
          ],
          ...[...tpmOf(folder), ...shareOf(folder)],
        ]
      },
      (folder) => [tpm, share].map((command) => command.replaceAll('FOLDER', folder)),
    )
    const { pool, folder, vm } = helped
    // Changes are carried only where a trial has shown that the next line makes the same machine.
    await monitor(vm.name, 'blockdev-snapshot-sync', {
      device: 'disk1',
      'snapshot-file': join(folder, 'b.qcow2'),
      format: 'qcow2',
    })
    await goesOn(helped)
    await expectUntouched(vm)
    for (let round = 0; round < 2; round++) {
      const before = [qemuPid(vm.name), ...processesWith(folder)]
      assert.equal(before.length, 3, 'QEMU, swtpm, virtiofsd')
      const { status, stderr, report } = await updateVmm(pool)
      assert.equal(status, 0, `${stderr}${JSON.stringify(report)}${vm.errors()}`)
      assert.match(stderr, /its next QEMU was tried without tpm-crb/)
      assert.doesNotMatch(stderr, /not tried|not known/)
      const after = [qemuPid(vm.name), ...processesWith(folder)]
      assert.deepEqual([after.length, new Set([...before, ...after]).size], [3, 6], 'all of them are others')
      await goesOn(helped)
    }
    const ticks = vm.serial.ticks().length
    const written = linesOf(join(folder, 'shared/lines')).slice(0, ticks)
    assert.deepEqual(
      written,
      Array.from({ length: ticks }, (_, index) => String(index + 1)),
    )
  },
)

test('a virtiofsd that cannot give its state to QEMU is named before the guest is paused', old, async (t) => {
  const program = await findHelper('old virtiofsd')
  const helped = await startLinux(t, 'old-share', ['share'], shareOf, (folder) => [
    `rm -f ${folder}/fs; ${program} --socket-path=${folder}/fs -o source=${folder}/shared 2>>${folder}/fs.log &
       until [ -S ${folder}/fs ]; do sleep 0.05; done`,
  ])
  const before = qemuPid(helped.vm.name)
  const { status, stderr, report } = await updateVmm(helped.pool)
  assert.deepEqual([status, report.vms.map(({ outcome }) => outcome)], [1, []], stderr)
  assert.match(stderr, /cannot be saved: the helper of its shared folder share0 cannot give its state/)
  assert.equal(qemuPid(helped.vm.name), before)
  await goesOn(helped)
})

test(
  'a second swtpm on one state keeps the guest saved, and it goes on when the first one is gone',
  options,
  async (t) => {
    const tpm = await swtpm('FOLDER')
    const rival = `${await findHelper('swtpm')} socket --tpm2 --tpmstate dir=FOLDER --flags not-need-init,startup-clear --ctrl type=unixio,path=FOLDER/rival --server type=unixio,path=FOLDER/rival-data --daemon`
    const helped = await startLinux(t, 'two-tpms', ['tpm'], tpmOf, (folder) => [
      `if [ -e ${folder}/stop ]; then ${rival}; fi; ${tpm}`.replaceAll('FOLDER', folder),
    ])
    const { pool, folder, vm } = helped
    writeFileSync(join(folder, 'stop'), '')
    const started = performance.now()
    const { status, stderr, report } = await updateVmm(pool)
    assert.deepEqual([status, report.vms[0]?.outcome], [1, 'saved'], stderr)
    assert.match(report.vms[0]?.problem ?? '', /tpm/i)
    assert.ok(performance.now() - started < 120_000)
    rmSync(join(folder, 'stop'))
    for (const pid of processesWith(`${folder}/rival`)) kill(pid)
    const resumed = await resumeVms(pool)
    assert.equal(resumed.status, 0, `${resumed.stderr}${JSON.stringify(resumed.report)}`)
    assert.equal((await listVms(pool))[0]?.state, 'running')
    await loggedTicks(vm.name)
  },
)

/** A guest that `resume` has started writes to the VM's log. */
async function loggedTicks(name: string): Promise<void> {
  const { log } = vmPaths(name)
  const ticks = /tick \d+ bad 0[\s\S]*tick \d+ bad 0/
  await until('two ticks', () => existsSync(log) && ticks.test(readFileSync(log, 'latin1')), 60_000)
  assert.doesNotMatch(readFileSync(log, 'latin1'), /fault: |bad [1-9]/)
}

for (const [what, end] of [
  ['hangs', 'kill -STOP $!'],
  ['is gone when the next QEMU comes', 'kill -KILL $!; sleep 0.2'],
] as const)
  test(`a helper that ${what} costs a bounded time, and the guest none of its memory`, options, async (t) => {
    const share = await virtiofsd('FOLDER')
    const helped = await startLinux(t, 'bad-share', ['share'], shareOf, (folder) => [
      `${share}; if [ -e FOLDER/stop ]; then ${end}; fi`.replaceAll('FOLDER', folder),
    ])
    const { pool, folder, vm } = helped
    writeFileSync(join(folder, 'stop'), '')
    const started = performance.now()
    const { status, stderr, report } = await updateVmm(pool, '--timeout', `${PATIENCE_MS}ms`)
    assert.deepEqual([status, report.vms[0]?.outcome], [1, 'saved'], stderr)
    assert.ok(performance.now() - started < 120_000)
    rmSync(join(folder, 'stop'))
    for (const pid of processesWith(folder)) kill(pid)
    const resumed = await resumeVms(pool)
    assert.equal(resumed.status, 0, `${resumed.stderr}${JSON.stringify(resumed.report)}`)
    await loggedTicks(vm.name)
  })

test(
  'a helper that hangs while its guest is saved keeps no update waiting, and the guest goes on with it',
  options,
  async (t) => {
    const share = await virtiofsd('FOLDER')
    const helped = await startLinux(t, 'held', ['share'], shareOf, (folder) => [
      share.replaceAll('FOLDER', folder),
    ])
    const { pool, folder, vm } = helped
    const before = qemuPid(vm.name)
    for (const pid of processesWith(folder)) kill(pid, 'SIGSTOP')
    const started = performance.now()
    const { status, stderr, report } = await updateVmm(pool, '--timeout', `${PATIENCE_MS}ms`)
    assert.deepEqual([status, report.vms[0]?.outcome], [1, 'stranded'], `${stderr}${JSON.stringify(report)}`)
    assert.ok(performance.now() - started < 120_000)
    for (const pid of processesWith(folder)) kill(pid, 'SIGCONT')
    const resumed = await resumeVms(pool)
    assert.equal(resumed.status, 0, `${resumed.stderr}${JSON.stringify(resumed.report)}`)
    assert.equal(qemuPid(vm.name), before)
    await goesOn(helped)
    assert.equal((await updateVmm(pool)).status, 0)
    await goesOn(helped)
  },
)

test('a helper that nothing starts again is named before the guest is paused', options, async (t) => {
  const pool = await mountVmPool(t)
  const folder = helperFolder(t, pool)
  execFileSync('/bin/sh', ['-c', await swtpm(folder)], { stdio: 'ignore' })
  const vm = await startTinyVm(t, pool, 'no-before', { options: tpmOf(folder) })
  const { status, stderr, report } = await updateVmm(pool, '--timeout', `${PATIENCE_MS}ms`)
  assert.match(stderr, /the helper of its TPM ends with its QEMU: something must start it again/)
  assert.deepEqual([status, report.vms[0]?.outcome], [1, 'saved'])
  assert.match(report.vms[0]?.problem ?? '', /tpm/)
  execFileSync('/bin/sh', ['-c', await swtpm(folder)], { stdio: 'ignore' })
  assert.equal((await resumeVms(pool)).status, 0)
  await loggedTicks(vm.name)
})
