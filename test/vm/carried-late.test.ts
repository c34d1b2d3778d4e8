/**
 * Tests that no update starts a guest with a former state of its machine: after an update that was undone, a
 * change between preflight and save, an unplugged device with others after it on its bus.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { UpdateSteps } from '../../src/liveupdate/kernel/update-steps.ts'
import { checkGuests } from '../../src/liveupdate/preflight/check-guests.ts'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { readVms } from '../../src/qemu/vm-list.ts'
import { commit, deleteNode, disk, image, snapshot, startMachine, untilTried } from './carried-changes.ts'
import { monitor, mountVmPool, qemuPid, scratchFolder, startTinyVm, updateVmm } from './support.ts'

test('a save that was undone leaves the line of the QEMU that goes on, and no overlay that was committed since', async (t) => {
  const machine = await startMachine(t, 'undone')
  const { name, ramFile } = machine.vm
  const recorded = readDefinition(ramFile)?.argv
  await snapshot(name, { 'node-name': 'disk0' }, join(machine.folder, 'a.qcow2'), {
    'snapshot-node-name': 'over0',
  })
  await disk(machine.vm, 'vd0', 'write -P 0x70 0 64k')
  const { vms } = readVms([ramFile])
  const { findings, lines } = await checkGuests(vms, undefined, 'here')
  assert.deepEqual(
    findings.filter(({ severity }) => severity === 'error'),
    [],
  )
  const { pool, mountPoint } = machine.pool
  const steps = new UpdateSteps(
    {
      ...{ vms, lines, recorded: [ramFile], left: [], timeoutMs: 20_000, patienceMs: 10_000 },
      pools: [{ pool, mountPoint, by: 'carve-out' }],
      change: { via: 'kexec', before: '6.12', next: '7.3' },
    },
    Date.now(),
  )
  await steps.suspendAll()
  assert.match(JSON.stringify(readDefinition(ramFile)?.argv), /over0/)
  await steps.rollBack()
  assert.deepEqual(readDefinition(ramFile)?.argv, recorded)

  await commit(name, 'over0', 'disk0')
  await disk(machine.vm, 'vd0', 'write -P 0x71 0 64k')
  const { status, stderr } = await updateVmm(machine.pool)
  assert.equal(status, 0, stderr)
  await disk(machine.vm, 'vd0', 'read -P 0x71 0 64k')
})

test('what no command line can express, and was done after the preflight, is not lost: the guest runs on where it is', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const file = image(folder, 'disk.raw', 0xa0)
  const options = ['-drive', `if=virtio,format=raw,node-name=disk0,file=${file}`]
  const vm = await startTinyVm(t, pool, 'no-id', { options })
  const nodes = (await monitor(vm.name, 'query-named-block-nodes', { flat: true })) as {
    'node-name': string
    drv: string
  }[]
  const below = nodes.find(({ drv }) => drv === 'file')?.['node-name']
  const before = qemuPid(vm.name)
  const updating = updateVmm(pool)
  await untilTried(vm.name)
  // A `-drive` that is taken as it is says nothing of this.
  const options_ = { driver: 'raw', 'node-name': 'disk0', file: below, 'detect-zeroes': 'on' }
  await monitor(vm.name, 'blockdev-reopen', { options: [options_] })
  const { report } = await updating
  assert.equal(report.vms[0]?.outcome, 'rolled-back')
  assert.match(report.vms[0]?.problem ?? '', /was changed while the update was under way/)
  assert.equal(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  const again = await updateVmm(pool)
  assert.equal(again.status, 1)
  assert.match(again.stderr, /its next QEMU would differ in .*detect-zeroes on/)
})

test('a disk that gets another size while its next QEMU is tried is not loaded into it, and has that size in the one after', async (t) => {
  const pool = await mountVmPool(t)
  const file = image(scratchFolder(t), 'disk.raw', 0xa0)
  const options = ['-drive', `if=virtio,id=drive0,format=raw,file=${file}`]
  const vm = await startTinyVm(t, pool, 'resized', { options })
  const before = qemuPid(vm.name)
  const updating = updateVmm(pool)
  await untilTried(vm.name)
  await monitor(vm.name, 'block_resize', { device: 'drive0', size: 8 << 20 })
  const { status, report, stderr } = await updating
  assert.equal(status, 1)
  // The one that is tried may have opened the image before or after it.
  assert.match(
    stderr + (report.vms[0]?.problem ?? ''),
    /was changed while the update was under way|its next QEMU would differ in drive drive0/,
  )
  assert.equal(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  const again = await updateVmm(pool)
  assert.equal(again.status, 0, again.stderr)
  const [drive] = (await monitor(vm.name, 'query-block')) as {
    inserted: { image: { 'virtual-size': number } }
  }[]
  assert.equal(drive?.inserted.image['virtual-size'], 8 << 20)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('an unplugged device that would move another one on its bus is refused before the guest is paused', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const options = ['-device', 'virtio-scsi-pci,id=scsi0']
  for (const id of ['one', 'two']) {
    const file = image(folder, id, 0xa0)
    options.push('-blockdev', `driver=raw,node-name=${id},file.driver=file,file.filename=${file}`)
    options.push('-device', `scsi-hd,id=sd-${id},drive=${id}`)
  }
  const vm = await startTinyVm(t, pool, 'moves', { options })
  await monitor(vm.name, 'device_del', { id: 'sd-one' })
  await deleteNode(vm.name, 'one')
  const before = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(stderr, /its next QEMU would differ in device sd-two/)
  assert.equal(qemuPid(vm.name), before)
})

test('a paused guest that was changed after the preflight stays paused, and the next update takes it', async (t) => {
  const machine = await startMachine(t, 'paused')
  const { name } = machine.vm
  const status = async () => ((await monitor(name, 'query-status')) as { status: string }).status
  await monitor(name, 'stop')
  const before = qemuPid(name)
  const updating = updateVmm(machine.pool)
  await untilTried(name)
  await snapshot(name, { 'node-name': 'disk0' }, join(machine.folder, 'a.qcow2'), {
    'snapshot-node-name': 'over0',
  })
  const { report } = await updating
  assert.equal(report.vms[0]?.outcome, 'rolled-back')
  assert.match(report.vms[0]?.problem ?? '', /was changed while the update was under way: try again/)
  // In 'postmigrate', where a save is undone, QEMU would refuse the next one.
  assert.deepEqual([qemuPid(name), await status()], [before, 'paused'])
  const again = await updateVmm(machine.pool)
  assert.equal(again.status, 0, again.stderr)
  assert.match(again.stderr, /over0/)
  assert.equal(await status(), 'paused')
  await monitor(name, 'cont')
  await machine.vm.serial.moreTicks(2)
  assert.equal(machine.vm.serial.findBreak(), undefined)
})
