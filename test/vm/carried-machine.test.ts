/**
 * Owns the promise that a guest has the same machine after an update, with all changes made while it ran:
 * snapshots of images, other media, devices and processors that were plugged or unplugged.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  commit,
  deleteNode,
  disk,
  factsOf,
  image,
  type Machine,
  snapshot,
  startMachine,
  untilTried,
} from './living-machine.ts'
import { monitor, qemuPid, updateVmm } from './support.ts'

/** The VM has another QEMU with the same machine, and the guest has not lost a tick. */
async function expectCarried(
  machine: Machine,
  words: RegExp,
  plugged: readonly string[] = [],
): Promise<void> {
  const { pool, vm } = machine
  const before = { pid: qemuPid(vm.name), facts: await factsOf(machine, plugged) }
  const { status, stderr, report } = await updateVmm(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], stderr)
  assert.notEqual(qemuPid(vm.name), before.pid)
  assert.deepEqual(await factsOf(machine, plugged), before.facts)
  assert.match(stderr, words)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
  // The recorded line has the changes by now: the next update carries none.
  const again = await updateVmm(pool)
  assert.deepEqual([again.status, again.stderr], [0, ''])
  assert.deepEqual(await factsOf(machine, plugged), before.facts)
}

test('overlays that were taken live are on top afterwards, whichever way the disk was given, and what was written to them is there', async (t) => {
  const machine = await startMachine(t, 'overlays')
  const { name } = machine.vm
  await snapshot(name, { 'node-name': 'disk0' }, join(machine.folder, 'a.qcow2'), {
    'snapshot-node-name': 'over0',
  })
  await snapshot(name, { device: 'drive1' }, join(machine.folder, 'b.qcow2'))
  await disk(name, 'vd0', 'write -P 0x70 0 64k')
  await disk(name, 'vd1', 'write -P 0x71 0 64k')
  await expectCarried(machine, /its next QEMU is started with .*over0/)
  for (const [device, byte, base] of [
    ['vd0', '0x70', '0xa0'],
    ['vd1', '0x71', '0xa1'],
  ] as const) {
    await disk(name, device, `read -P ${byte} 0 64k`)
    await disk(name, device, `read -P ${base} 64k 64k`)
  }
  // A second overlay, over a node that QEMU has opened by itself.
  await snapshot(name, { 'node-name': 'over0' }, join(machine.folder, 'c.qcow2'), {
    'snapshot-node-name': 'over1',
  })
  await snapshot(name, { device: 'drive1' }, join(machine.folder, 'd.qcow2'))
  await disk(name, 'vd0', 'write -P 0x72 64k 64k')
  await expectCarried(machine, /over1/)
  await disk(name, 'vd0', 'read -P 0x70 0 64k')
  await disk(name, 'vd0', 'read -P 0x72 64k 64k')

  // Commits both into the image that the first line named.
  await commit(name, 'over1', 'disk0')
  await expectCarried(machine, /without -blockdev .*over/)
  await disk(name, 'vd0', 'read -P 0x70 0 64k')
  await disk(name, 'vd0', 'read -P 0x72 64k 64k')
})

test('media that were inserted, changed or ejected are so afterwards', async (t) => {
  const machine = await startMachine(t, 'media')
  const { name } = machine.vm
  const insert = (id: string, file: string, byte: number) =>
    monitor(name, 'blockdev-change-medium', {
      id,
      filename: image(machine.folder, file, byte),
      format: 'raw',
    })
  await insert('cdrom0', 'one.iso', 1)
  await insert('cdrom1', 'two.iso', 2)
  await expectCarried(machine, /one\.iso/)
  await disk(name, 'cdrom0', 'read -P 1 0 64k')
  await disk(name, 'cdrom1', 'read -P 2 0 64k')
  await insert('cdrom0', 'three.iso', 3)
  await monitor(name, 'eject', { id: 'cdrom1', force: true })
  await expectCarried(machine, /three\.iso/)
  await disk(name, 'cdrom0', 'read -P 3 0 64k')
})

test('devices and processors that were plugged are there afterwards, and those that were unplugged are not', async (t) => {
  const machine = await startMachine(t, 'plugged')
  const { name } = machine.vm
  await monitor(name, 'device_add', { driver: 'virtio-rng-pci', id: 'rng1', bus: 'port0', 'max-bytes': 777 })
  await monitor(name, 'blockdev-add', {
    ...{ driver: 'raw', 'node-name': 'disk3' },
    file: { driver: 'file', filename: image(machine.folder, 'disk3.raw', 0xa3) },
  })
  await monitor(name, 'device_add', { driver: 'virtio-scsi-pci', id: 'scsi1', bus: 'port1' })
  await monitor(name, 'device_add', {
    ...{ driver: 'scsi-hd', id: 'sd3', bus: 'scsi1.0', drive: 'disk3', serial: 'third', bootindex: 7 },
  })
  await monitor(name, 'device_add', {
    ...{ driver: 'qemu64-x86_64-cpu', id: 'cpu1', 'socket-id': 0, 'core-id': 1, 'thread-id': 0 },
  })
  const plugged = ['rng1', 'scsi1', 'sd3']
  await expectCarried(machine, /virtio-rng-pci.*777/, plugged)
  await disk(name, 'sd3', 'read -P 0xa3 0 64k')
  const processors = (await monitor(name, 'query-cpus-fast')) as unknown[]
  assert.equal(processors.length, 2)

  // QEMU unplugs SCSI disks without the guest's cooperation.
  for (const id of ['sd2', 'sd3']) await monitor(name, 'device_del', { id })
  for (const node of ['disk2', 'disk3']) await deleteNode(name, node)
  await expectCarried(machine, /without -device scsi-hd,id=sd2/, ['rng1', 'scsi1'])
})

test('what was changed after its next QEMU was tried is not left behind: the guest runs on where it is', async (t) => {
  const machine = await startMachine(t, 'late')
  const { name } = machine.vm
  await snapshot(name, { 'node-name': 'disk0' }, join(machine.folder, 'a.qcow2'), {
    'snapshot-node-name': 'over0',
  })
  const before = qemuPid(name)
  const updating = updateVmm(machine.pool)
  // Once the trial has begun, the preflight has read the machine.
  await untilTried(name)
  await snapshot(name, { 'node-name': 'over0' }, join(machine.folder, 'b.qcow2'), {
    'snapshot-node-name': 'over1',
  })
  const { report, status } = await updating
  assert.deepEqual([status, report.vms[0]?.outcome], [1, 'rolled-back'])
  assert.match(report.vms[0]?.problem ?? '', /was changed while the update was under way: try again/)
  assert.equal(qemuPid(name), before)
  await machine.vm.serial.moreTicks(2)
  await expectCarried(machine, /over1/)
})
