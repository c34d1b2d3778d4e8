/**
 * Tests that a guest has the same machine after an update, with all changes made while it ran: snapshots of
 * images, other media, devices and processors that were plugged or unplugged.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFiles } from '../../src/linux/open-files.ts'
import {
  commit,
  deleteNode,
  disk,
  expectCarried,
  format,
  image,
  type Machine,
  snapshot,
  startMachine,
  untilTried,
} from './carried-changes.ts'
import { monitor, qemuPid, updateVmm } from './support.ts'

test('overlays that were taken live are on top afterwards, whichever way the disk was given, and what was written to them is there', async (t) => {
  const machine = await startMachine(t, 'overlays')
  const { name } = machine.vm
  await snapshot(name, { 'node-name': 'disk0' }, join(machine.folder, 'a.qcow2'), {
    'snapshot-node-name': 'over0',
  })
  await snapshot(name, { device: 'drive1' }, join(machine.folder, 'b.qcow2'))
  await disk(machine.vm, 'vd0', 'write -P 0x70 0 64k')
  await disk(machine.vm, 'vd1', 'write -P 0x71 0 64k')
  await assert.rejects(disk(machine.vm, 'vd0', 'read -P 0x71 0 64k'), /Pattern verification failed/)
  await expectCarried(machine, /its next QEMU is started with .*over0/)
  for (const [device, byte, base] of [
    ['vd0', '0x70', '0xa0'],
    ['vd1', '0x71', '0xa1'],
  ] as const) {
    await disk(machine.vm, device, `read -P ${byte} 0 64k`)
    await disk(machine.vm, device, `read -P ${base} 64k 64k`)
  }
  // A second overlay, over a node that QEMU has opened by itself.
  await snapshot(name, { 'node-name': 'over0' }, join(machine.folder, 'c.qcow2'), {
    'snapshot-node-name': 'over1',
  })
  await snapshot(name, { device: 'drive1' }, join(machine.folder, 'd.qcow2'))
  await disk(machine.vm, 'vd0', 'write -P 0x72 64k 64k')
  await expectCarried(machine, /over1/)
  await disk(machine.vm, 'vd0', 'read -P 0x70 0 64k')
  await disk(machine.vm, 'vd0', 'read -P 0x72 64k 64k')

  // Commits both into the image that the first line named.
  await commit(name, 'over1', 'disk0')
  // As before an update: the overlays end with their commit, and QEMU closes their files.
  assert.deepEqual(await overlaysOf(machine), ['b.qcow2', 'd.qcow2'])
  await expectCarried(machine, /without -blockdev .*over/)
  assert.deepEqual(await overlaysOf(machine), ['b.qcow2', 'd.qcow2'])
  await disk(machine.vm, 'vd0', 'read -P 0x70 0 64k')
  await disk(machine.vm, 'vd0', 'read -P 0x72 64k 64k')
})

/** Names of qcow2 files that QEMU has open, or has in a block node. */
async function overlaysOf({ vm: { name } }: Machine): Promise<string[]> {
  const nodes = (await monitor(name, 'query-named-block-nodes', { flat: true })) as { file: string }[]
  const paths = [
    ...nodes.map(({ file }) => file),
    ...(openFiles(qemuPid(name)) ?? []).map(({ path }) => path),
  ]
  return [...new Set(paths.flatMap((path) => /([^/"]+\.qcow2)/.exec(path)?.[1] ?? []))].toSorted()
}

test('an overlay that a user made and owns stays theirs, and the update names what QEMU does not report of a plugged image', async (t) => {
  const machine = await startMachine(t, 'owned')
  const { name } = machine.vm
  const file = (path: string, node: string) =>
    monitor(name, 'blockdev-add', { driver: 'file', 'node-name': node, filename: path })
  await monitor(name, 'blockdev-add', {
    ...{ driver: 'raw', 'node-name': 'disk3', discard: 'unmap' },
    file: { driver: 'file', filename: image(machine.folder, 'disk3.raw', 0xa3) },
  })
  await monitor(name, 'device_add', { driver: 'scsi-hd', id: 'sd3', bus: 'scsi0.0', drive: 'disk3' })
  const path = join(machine.folder, 'own.qcow2')
  writeFileSync(path, '')
  await file(path, 'own-file')
  await format(name, 'own-file')
  await monitor(name, 'blockdev-add', {
    driver: 'qcow2',
    'node-name': 'own',
    file: 'own-file',
    backing: null,
  })
  await monitor(name, 'blockdev-snapshot', { node: 'disk0', overlay: 'own' })
  await disk(machine.vm, 'vd0', 'write -P 0x70 0 64k')
  await expectCarried(
    machine,
    /image \S*own\.qcow2 was plugged: QEMU does not report discard=, aio=, locking=.*\n.*image \S*disk3\.raw was plugged/,
    ['sd3'],
  )
  await disk(machine.vm, 'vd0', 'read -P 0x70 0 64k')
  await commit(name, 'own', 'disk0')
  // It is an error where there is no such node.
  for (const node of ['own', 'own-file']) await monitor(name, 'blockdev-del', { 'node-name': node })
  await expectCarried(machine, /without -blockdev .*own/, ['sd3'])
  await disk(machine.vm, 'vd0', 'read -P 0x70 0 64k')
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
  await disk(machine.vm, 'cdrom0', 'read -P 1 0 64k')
  await disk(machine.vm, 'cdrom1', 'read -P 2 0 64k')
  await insert('cdrom0', 'three.iso', 3)
  await monitor(name, 'eject', { id: 'cdrom1', force: true })
  await expectCarried(machine, /three\.iso/)
  await disk(machine.vm, 'cdrom0', 'read -P 3 0 64k')
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
  await disk(machine.vm, 'sd3', 'read -P 0xa3 0 64k')
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
