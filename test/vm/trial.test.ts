/**
 * Tests of the trial of the next QEMU beside the one that runs: it finds, before the guest is paused, a QEMU
 * that would not start, and it does not change the guest.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { tryNextQemu } from '../../src/qemu/trial/try-next-qemu.ts'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { moodyQemu } from './fake-qemu.ts'
import { runningMachine } from './running-machine.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  qemuPid,
  scratchFolder,
  startTinyVm,
  storeBytes,
  updateVmm,
  type VmPool,
} from './support.ts'

const hashOf = (path: string) =>
  execFileSync(process.execPath, [join(import.meta.dirname, 'hash-ram.ts'), path], { encoding: 'latin1' })

const image = (path: string) => writeFileSync(path, Buffer.alloc(1 << 20, 0x5a))

/** A machine with all classes of devices that a trial takes, as far as one has room for them. */
function manyDevices(folder: string): string[] {
  const [disk, second, third] = ['a.raw', 'b.raw', 'c.raw'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [disk, second, third]) image(path)
  return [
    ...['-drive', `file=${disk},format=raw,if=none,id=d0`, '-device', 'virtio-blk-pci,drive=d0'],
    ...['-blockdev', `driver=file,node-name=d1,filename=${second}`, '-device', 'virtio-scsi-pci'],
    ...['-device', 'scsi-hd,drive=d1', '-drive', `file=${third},format=raw,if=none,id=d2`],
    ...['-device', 'ahci,id=ahci1', '-device', 'ide-hd,drive=d2,bus=ahci1.0'],
    ...['-netdev', 'user,id=n0,hostfwd=tcp:127.0.0.1:0-:22', '-device', 'virtio-net-pci,netdev=n0'],
    ...['-netdev', 'user,id=n1', '-device', 'e1000,netdev=n1', '-device', 'virtio-rng-pci'],
    ...['-device', 'virtio-balloon-pci', '-device', 'virtio-serial-pci', '-chardev', 'null,id=c0'],
    ...['-device', 'virtserialport,chardev=c0,name=x', '-device', 'qemu-xhci', '-device', 'usb-tablet'],
    ...['-device', 'VGA', '-device', 'pcie-root-port,id=p0', '-device', 'i6300esb', '-device', 'pvpanic-pci'],
    ...['-device', 'intel-hda', '-audiodev', 'none,id=au0', '-device', 'hda-duplex,audiodev=au0'],
    ...['-chardev', `socket,id=c1,path=${join(folder, 'c1')},server=on,wait=off`],
    ...[
      '-pidfile',
      join(folder, 'pid'),
      '-vnc',
      '127.0.0.1:73',
      '-monitor',
      `unix:${join(folder, 'm')},server=on,wait=off`,
    ],
  ]
}

/** Memory devices of each kind, on files of the pool, and the devices that `manyDevices` has no room for. */
function memoryDevices(folder: string, pool: VmPool): string[] {
  const backend = (id: string, size = '64M') => [
    '-object',
    `memory-backend-file,id=${id},size=${size},mem-path=${pool.path(id)},share=on`,
  ]
  const nvme = join(folder, 'nvme.raw')
  image(nvme)
  return [
    ...['-m', 'slots=4,maxmem=2G', '-machine', 'nvdimm=on', '-device', 'virtio-iommu-pci'],
    ...[...backend('m0'), '-device', 'pc-dimm,id=dimm0,memdev=m0'],
    ...[...backend('m1'), '-device', 'nvdimm,id=nvdimm0,memdev=m1'],
    ...[...backend('m2'), '-device', 'virtio-mem-pci,id=vmem0,memdev=m2,requested-size=32M'],
    ...[...backend('m3'), '-device', 'virtio-pmem-pci,id=pmem0,memdev=m3'],
    ...[...backend('m4', '4M'), '-device', 'ivshmem-plain,id=window0,memdev=m4,master=on'],
    ...['-drive', `file=${nvme},format=raw,if=none,id=d9`, '-device', 'nvme,serial=n,drive=d9'],
    ...['-device', 'virtio-gpu-pci', '-device', 'bochs-display', '-device', 'vmcoreinfo'],
    ...['-device', 'igb', '-device', 'e1000e', '-device', 'vmxnet3', '-device', 'rtl8139'],
    ...['-device', 'megasas', '-device', 'pvscsi', '-device', 'lsi53c895a', '-audiodev', 'none,id=au9'],
    ...['-device', 'AC97,audiodev=au9'],
    ...['-device', 'usb-ehci,id=ehci0', '-device', 'usb-kbd,bus=ehci0.0', '-device', 'pci-serial,chardev=c9'],
    ...['-chardev', 'null,id=c9', '-device', 'pcie-root-port,id=p9,chassis=9'],
    ...['-device', 'pcie-pci-bridge,id=b9,bus=p9', '-device', 'virtio-keyboard-pci'],
  ]
}

const MACHINES: Readonly<Record<string, (folder: string, pool: VmPool) => string[]>> = {
  'q35 of many devices': (folder) => ['-machine', 'q35', ...manyDevices(folder)],
  'pc of many devices': (folder) => ['-machine', 'pc', ...manyDevices(folder)],
  'q35 with memory devices': (folder, pool) => ['-machine', 'q35', ...memoryDevices(folder, pool)],
}

for (const [index, [machine, optionsOf]] of Object.entries(MACHINES).entries()) {
  test(`the next QEMU is tried on a ${machine}, and no byte of the guest's RAM changes`, async (t) => {
    const pool = await mountVmPool(t, '640M')
    const options = optionsOf(scratchFolder(t), pool)
    const vm = await startTinyVm(t, pool, `many-${index}`, { options })
    await monitor(vm.name, 'stop')
    const files = readDefinition(vm.ramFile)?.ramFiles.map(({ path }) => path) ?? []
    assert.equal(files.length, machine.includes('memory') ? 6 : 1)
    // A byte that is not 0 in each: RAM that a QEMU discards or clears would look untouched otherwise.
    for (const path of files.slice(1)) await storeBytes(path, 0x1000, 0x77)
    const hashes = () => files.map(hashOf)
    const before = hashes()
    const definition = readDefinition(vm.ramFile)
    assert.ok(definition)
    const trial = await tryNextQemu(definition, definition.argv, await runningMachine(vm.name))
    assert.deepEqual(trial, { problems: [], remarks: [], unproven: [], without: [] })
    assert.deepEqual(hashes(), before)
    assert.deepEqual(
      readdirSync(vmPaths(vm.name).directory).filter((name) => name.startsWith('trial')),
      [],
    )
    await monitor(vm.name, 'cont')
    await vm.serial.moreTicks(2)
    assert.equal(vm.serial.findBreak(), undefined)
  })
}

test('a console of the label that QEMU would give one itself is no reason to refuse', async (t) => {
  const pool = await mountVmPool(t)
  const log = join(scratchFolder(t), 'log')
  const options = ['-chardev', `file,id=serial1,path=${log},append=on`, '-serial', 'chardev:serial1']
  await startTinyVm(t, pool, 'label', { options })
  const { status, stderr } = await updateVmm(pool)
  assert.deepEqual([status, stderr], [0, ''])
})

test('the check of the bytes can fail: a loader that writes is not tried, and would have changed them', async (t) => {
  const pool = await mountVmPool(t)
  const options = ['-device', 'loader,addr=0x500000,data=0x123,data-len=8']
  const vm = await startTinyVm(t, pool, 'loader', { options })
  await monitor(vm.name, 'stop')
  const definition = readDefinition(vm.ramFile)
  assert.ok(definition)
  const trial = await tryNextQemu(definition, definition.argv, await runningMachine(vm.name))
  assert.deepEqual(trial, { problems: [], remarks: [], unproven: ['device loader'], without: [] })
})

test('a disk that is gone is named before the guest is paused', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const disk = join(folder, 'disk.raw')
  image(disk)
  const options = ['-drive', `file=${disk},format=raw,if=virtio`]
  const vm = await startTinyVm(t, pool, 'gone', { options })
  renameSync(disk, `${disk}.moved`)
  const before = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(stderr, /its next QEMU does not start: .*Could not open '.*disk\.raw'/)
  assert.equal(qemuPid(vm.name), before)
  assert.equal((await listVms(pool))[0]?.state, 'running')
  renameSync(`${disk}.moved`, disk)
  assert.equal((await updateVmm(pool)).status, 0)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a QEMU that has another machine under the same name is named before the guest is paused', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'otherwise', {
    qemu: qemu.path,
    options: ['-device', 'virtio-rng-pci'],
  })
  qemu.set(`set -- $(echo "$@" | sed s/virtio-rng-pci/virtio-balloon-pci/)`, 'even-tried')
  const before = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(stderr, /its next QEMU would be without device virtio-rng/)
  assert.equal(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a trial leaves no process behind', () => {
  const left = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n')
  // Other files' tests, which try QEMUs at the same time, have other folders.
  const ours = left.filter((words) => /timeout -s KILL .*qemu/.test(words) && words.includes(`${tmpdir()}/`))
  assert.deepEqual(ours, [])
})
