/**
 * Tests that drives without an id (`-hda`, `-cdrom`, `-drive if=virtio`, those that a PC has by itself) have
 * their overlays and media after an update.
 */
import { join } from 'node:path'
import { test } from 'node:test'
import { disk, expectCarried, image, snapshot } from './carried-changes.ts'
import { serialFile } from './serial.ts'
import {
  monitor,
  mountVmPool,
  QEMU,
  ramOptions,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  startTinyVm,
  tinyKernel,
  vmName,
} from './support.ts'

const insert = (name: string, drive: string, filename: string) =>
  monitor(name, 'blockdev-change-medium', { device: drive, filename, format: 'raw' })

test('overlays of drives without an id, and media of a -cdrom, are there afterwards', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const options = [
    ...['-hda', image(folder, 'hda,1.raw', 0xa0), '-cdrom', image(folder, 'one.iso', 1)],
    ...['-drive', `if=virtio,format=raw,file=${image(folder, 'virtio0.raw', 0xa1)}`],
    ...['-drive', `if=virtio,format=raw,file=${image(folder, 'virtio1.raw', 0xa2)}`],
  ]
  const vm = await startTinyVm(t, pool, 'no-ids', { options, hasSerialFile: true })
  const { name } = vm
  await snapshot(name, { device: 'ide0-hd0' }, join(folder, 'a.qcow2'))
  await snapshot(name, { device: 'virtio1' }, join(folder, 'b.qcow2'), { 'snapshot-node-name': 'over1' })
  await disk(vm, 'ide0-hd0', 'write -P 0x70 64k 64k')
  await disk(vm, 'virtio1', 'write -P 0x71 0 64k')
  await insert(name, 'ide2-cd0', image(folder, 'two.iso', 2))
  await expectCarried({ pool, vm }, /with -drive index=0,media=disk,file=\S*a\.qcow2,format=qcow2/)
  await disk(vm, 'ide0-hd0', 'read -P 0x70 64k 64k')
  await disk(vm, 'ide0-hd0', 'read -P 0xa0 128k 64k')
  await disk(vm, 'virtio0', 'read -P 0xa1 0 64k')
  await disk(vm, 'virtio1', 'read -P 0x71 0 64k')
  await disk(vm, 'virtio1', 'read -P 0xa2 64k 64k')
  await disk(vm, 'ide2-cd0', 'read -P 2 0 64k')

  await monitor(name, 'eject', { device: 'ide2-cd0', force: true })
  await snapshot(name, { device: 'ide0-hd0' }, join(folder, 'c.qcow2'))
  await disk(vm, 'ide0-hd0', 'write -P 0x72 128k 64k')
  await expectCarried({ pool, vm }, /with -drive index=2,media=cdrom,/)
  await disk(vm, 'ide0-hd0', 'read -P 0x70 64k 64k')
  await disk(vm, 'ide0-hd0', 'read -P 0x72 128k 64k')
  await insert(name, 'ide2-cd0', image(folder, 'three.iso', 3))
  await expectCarried({ pool, vm }, /three\.iso/)
  await disk(vm, 'ide2-cd0', 'read -P 3 0 64k')
})

for (const [type, cdrom] of [
  ['q35', 'ide2-cd0'],
  ['pc', 'ide1-cd0'],
] as const)
  test(`a medium in the drive that a ${type} has without an option is there afterwards`, async (t) => {
    const pool = await mountVmPool(t)
    const folder = scratchFolder(t)
    const ramFile = pool.path(`own-${type}`)
    const { serial, options } = serialFile(folder)
    const line = [
      ...[QEMU, ...SMALL_MACHINE.filter((word) => word !== '-nodefaults').with(1, type)],
      ...ramOptions(ramFile),
      ...['-kernel', tinyKernel(folder), ...options, '-monitor', 'none', '-parallel', 'none'],
      ...['-nic', 'none', '-hdb', image(folder, 'hdb.raw', 0xa0)],
    ]
    const vm = { ...runVm(pool, folder, vmName(`own-${type}`), ramFile, [], line), serial }
    await vm.serial.until(1)
    await insert(vm.name, cdrom, image(folder, 'one.iso', 1))
    if (type === 'pc') await insert(vm.name, 'floppy0', image(folder, 'floppy.img', 2))
    await expectCarried({ pool, vm }, /with .*-drive index=2,media=cdrom,file=\S*one\.iso/)
    await disk(vm, cdrom, 'read -P 1 0 64k')
    await monitor(vm.name, 'eject', { device: cdrom, force: true })
    await expectCarried({ pool, vm }, /without -drive index=2/)
  })
