/**
 * Tests of guests that their agent suspends (ACPI S3) for an update: the agent of Debian in a Linux guest
 * (`run --suspend`), and what answers in its place and suspends nothing. The guest has no VFIO device, which
 * is what such an update is for: the testbed's scenario `vfio` has one.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { UpdateSteps } from '../../src/liveupdate/kernel/update-steps.ts'
import { checkGuests } from '../../src/liveupdate/preflight/check-guests.ts'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import { putToSleep } from '../../src/qemu/sleep/put-to-sleep.ts'
import { readDefinition, type VmDefinition, writeDefinition } from '../../src/qemu/vm-definition.ts'
import { readVms, type Vm } from '../../src/qemu/vm-list.ts'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { missingHelper } from '../../testbed/debian/helpers.ts'
import { buildWatchingGuest, type Watched } from '../../testbed/guests/watching-guest.ts'
import { guestmemfs, until } from '../mount/support.ts'
import { brokenQemu } from './fake-qemu.ts'
import { serialFile } from './serial.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  QEMU,
  qemuPid,
  ramOptions,
  resumeVms,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  type TestVm,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

const BOOT_TIMEOUT_MS = 180_000
/** A guest that wakes has its devices to set up again, on an emulated processor. */
const WAKE_TIMEOUT_MS = 60_000
const options = { skip: await missingHelper('agent'), timeout: 600_000 }

async function startLinux(t: TestContext, word: string, watched: Watched): Promise<[VmPool, TestVm]> {
  const pool = await mountVmPool(t, '512M')
  const folder = scratchFolder(t)
  // A QEMU that `resume` starts has another standard output.
  const file = serialFile(folder)
  const { kernel, initrd, commandLine, ramMebibytes } = await buildWatchingGuest(folder, [watched])
  // With SeaBIOS a q35 machine does not wake up whole.
  const machine = SMALL_MACHINE.map((option) => (option === 'q35' ? 'pc' : option))
  const line = [QEMU, ...machine, '-cpu', 'max', ...ramOptions(pool.path(word), `${ramMebibytes}M`)]
  line.push('-kernel', kernel, '-initrd', initrd, '-append', commandLine, ...file.options)
  line.push('-chardev', `socket,id=qga0,path=${join(folder, 'agent')},server=on,wait=off`)
  line.push('-device', 'virtio-serial-pci')
  line.push('-device', 'virtserialport,chardev=qga0,name=org.qemu.guest_agent.0')
  const vm = {
    ...runVm(pool, folder, vmName(word), pool.path(word), ['--suspend'], line),
    serial: file.serial,
  }
  await Promise.race([vm.serial.until(3, BOOT_TIMEOUT_MS), vm.ended.then(() => assert.fail(vm.errors()))])
  await until('what answers has opened its port', () => isPortOpen(vm), WAKE_TIMEOUT_MS)
  return [pool, vm]
}

async function isPortOpen({ name }: TestVm): Promise<boolean> {
  const chardevs = (await monitor(name, 'query-chardev')) as { label: string; 'frontend-open': boolean }[]
  return chardevs.some((each) => each.label === 'qga0' && each['frontend-open'])
}

/** How often it was suspended and woken, by its own kernel. */
const wakesOf = ({ serial }: TestVm): number =>
  Number([...serial.text().matchAll(/^suspended (\d+) times/gm)].at(-1)?.[1] ?? 0)

async function goesOn({ serial }: TestVm): Promise<void> {
  await serial.moreTicks(5, WAKE_TIMEOUT_MS)
  assert.equal(serial.findBreak(), undefined)
  assert.doesNotMatch(serial.text(), /BUG|Oops|soft lockup|Call Trace|^fault:/m)
}

const status = async ({ name }: TestVm): Promise<string> =>
  ((await monitor(name, 'query-status')) as { status: string }).status

/** As a command that is killed then. Returns what was on record before. */
async function suspend({ name, ramFile }: TestVm): Promise<VmDefinition> {
  const definition = readDefinition(ramFile) as VmDefinition
  const qemu = readRuntime(name)?.qemu
  assert.ok(qemu)
  const qmp = await QmpClient.connect(vmPaths(name).qmp, 5000)
  await putToSleep({ definition, qmp, qemu, timeoutMs: WAKE_TIMEOUT_MS }).finally(() => qmp.close())
  return definition
}

async function isUnderNoUpdate(pool: VmPool, vm: TestVm): Promise<void> {
  assert.equal(readDefinition(vm.ramFile)?.underUpdate, undefined)
  assert.equal((await listVms(pool))[0]?.state, 'running')
  assert.equal(await status(vm), 'running')
}

async function stepsOf(pool: VmPool, { ramFile }: TestVm): Promise<UpdateSteps> {
  const { vms } = readVms([ramFile])
  const { lines } = await checkGuests(vms, undefined, 'here')
  const scope = {
    vms,
    lines,
    recorded: [ramFile],
    pools: [{ pool: pool.pool, mountPoint: pool.mountPoint, by: 'carve-out' as const }],
    timeoutMs: WAKE_TIMEOUT_MS,
    patienceMs: 10_000,
    left: [],
    change: { via: 'kexec', before: '6.12', next: '7.3' } as const,
  }
  return new UpdateSteps(scope, Date.now())
}

test('a Linux guest is suspended by its agent for an update, and goes on', options, async (t) => {
  const [pool, vm] = await startLinux(t, 'sleeper', 'agent')

  await t.test('which a rehearsal says, and suspends nobody', async () => {
    const { definition, qemu } = readVms([vm.ramFile]).vms[0] as Vm
    const {
      status: code,
      stdout,
      stderr,
    } = await guestmemfs(...['live-update', '--vmm-only', '--rehearse', pool.mountPoint])
    assert.equal(code, 0, stderr + stdout)
    assert.match(stdout, new RegExp(`^${vm.name} .* carried `, 'm'))
    assert.match(stdout, /^warning: VM \S+: its agent suspends it for the update \(run --suspend\)$/m)
    assert.match(stdout, /^ready: the rehearsal passed$/m)
    await goesOn(vm)
    assert.equal(wakesOf(vm), 0)
    const [after] = readVms([vm.ramFile]).vms
    assert.deepEqual([after?.definition, after?.qemu], [definition, qemu])
    await isUnderNoUpdate(pool, vm)
  })

  await t.test('in a new QEMU', async () => {
    const before = qemuPid(vm.name)
    const { status: code, report, stderr } = await updateVmm(pool)
    assert.equal(code, 0, stderr + JSON.stringify(report))
    assert.match(stderr, /: its agent suspends it for the update \(run --suspend\)$/m)
    assert.equal(report.vms[0]?.outcome, 'updated')
    assert.ok((report.vms[0].blackoutUs ?? 0) > 0)
    assert.notEqual(qemuPid(vm.name), before)
    await goesOn(vm)
    assert.equal(wakesOf(vm), 1)
    await isUnderNoUpdate(pool, vm)
  })

  await t.test('in its program again, where the next one does not take it', async () => {
    const { report } = await updateVmm(pool, '--qemu', brokenQemu(scratchFolder(t)))
    assert.equal(report.vms[0]?.outcome, 'rolled-back', JSON.stringify(report))
    await goesOn(vm)
    assert.equal(wakesOf(vm), 2)
    await isUnderNoUpdate(pool, vm)
  })

  await t.test('after a kernel update that was undone, in another QEMU where it was saved', async () => {
    for (const isSaved of [false, true]) {
      const before = qemuPid(vm.name)
      const steps = await stepsOf(pool, vm)
      await steps.sleepAll()
      assert.equal(await status(vm), 'suspended')
      if (isSaved) await steps.suspendAll()
      assert.equal(await status(vm), isSaved ? 'postmigrate' : 'suspended')
      const results = await steps.rollBack()
      assert.deepEqual(
        results.map(({ outcome, problem }) => [outcome, problem]),
        [['rolled-back', null]],
      )
      await goesOn(vm)
      assert.equal(wakesOf(vm), isSaved ? 4 : 3)
      await isUnderNoUpdate(pool, vm)
      // The QEMU that had saved it would abort.
      assert.equal(qemuPid(vm.name) === before, !isSaved)
    }
  })

  await t.test('by plain resume, where the update was killed while it was suspended', async () => {
    await suspend(vm)
    assert.equal((await listVms(pool))[0]?.state, 'stopped')
    // It would take the guest for one that suspended by itself.
    assert.match(
      (await updateVmm(pool)).stderr,
      /: its last update did not end: 'guestmemfs resume --name \S+' first$/m,
    )
    const { report } = await resumeVms(pool)
    assert.equal(report.vms[0]?.outcome, 'resumed', JSON.stringify(report))
    await goesOn(vm)
    assert.equal(wakesOf(vm), 5)
    await isUnderNoUpdate(pool, vm)
  })

  await t.test('and stays suspended, where it was so by itself', async () => {
    // As if nobody had asked for it.
    writeDefinition(await suspend(vm))
    const { status: code, report, stderr } = await updateVmm(pool)
    assert.equal(code, 0, stderr + JSON.stringify(report))
    assert.equal(await status(vm), 'suspended')
    await monitor(vm.name, 'system_wakeup')
    await goesOn(vm)
    assert.equal(wakesOf(vm), 6)
  })
})

test(
  'a guest that does not suspend in time is left running, by name, with nothing lost',
  options,
  async (t) => {
    const [pool, vm] = await startLinux(t, 'deaf', 'deaf')
    const before = qemuPid(vm.name)
    const { status: code, report } = await updateVmm(pool, '--timeout', '3s')
    assert.equal(code, 1)
    assert.equal(report.vms[0]?.outcome, 'rolled-back')
    assert.match(
      report.vms[0].problem ?? '',
      /did not suspend within 3 s: it runs on; .*'guestmemfs resume --name \S+' wakes it/,
    )
    assert.match(vm.serial.text(), /deaf to .*guest-suspend-ram/)
    assert.equal(qemuPid(vm.name), before)
    await goesOn(vm)
    // By it `resume` would wake one that suspends late.
    const definition = readDefinition(vm.ramFile) as VmDefinition
    assert.ok(definition.underUpdate?.sleep)
    const listed = await guestmemfs('vms', pool.mountPoint)
    assert.match(listed.stderr, /: its agent was asked to suspend it, and it runs: 'guestmemfs resume'/)
    const sleep = { askedAtMs: Date.now() - 3_600_000 }
    writeDefinition({ ...definition, underUpdate: { ...definition.underUpdate, sleep } })
    assert.equal((await resumeVms(pool)).status, 0)
    assert.equal(readDefinition(vm.ramFile)?.underUpdate, undefined)
    await goesOn(vm)
  },
)
