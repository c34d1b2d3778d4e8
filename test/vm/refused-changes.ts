/**
 * A guest that tests change over its monitor in ways that an update refuses, or sets again; and what the
 * tests expect of that update. What becomes part of the next command line is in `carried-changes.ts`.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { image } from './carried-changes.ts'
import {
  monitor,
  mountVmPool,
  qemuPid,
  scratchFolder,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
} from './support.ts'

export const setProperty = (name: string, object: string, property: string, value: unknown) =>
  monitor(name, 'qom-set', { path: `/objects/${object}`, property, value })

export interface Machine {
  readonly pool: VmPool
  readonly vm: TestVm
  readonly folder: string
}

/** Starts a guest with a disk, a drive for media and a network, all of which can be changed. */
export async function startMachine(
  t: TestContext,
  word: string,
  more: { qemu?: string; options?: readonly string[] } = {},
): Promise<Machine> {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const disk = image(folder, 'disk.raw', 0xa5)
  const options = [
    ...['-blockdev', `driver=file,node-name=file0,filename=${disk}`],
    ...['-blockdev', 'driver=raw,node-name=disk0,file=file0'],
    ...['-device', 'pcie-root-port,id=port0', '-device', 'virtio-blk-pci,drive=disk0,id=vd0'],
    ...['-device', 'ahci,id=ahci0', '-drive', 'if=none,id=cd0,media=cdrom,readonly=on'],
    ...['-device', 'ide-cd,drive=cd0,id=cdrom0,bus=ahci0.0'],
    ...[
      '-object',
      'throttle-group,id=group0,x-bps-total=1000000',
      '-object',
      'iothread,id=thread0,thread-pool-min=32',
    ],
    ...['-object', 'authz-list,id=list0,policy=deny'],
    ...['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,id=nic0,romfile='],
  ]
  const { options: others = [], ...rest } = more
  const vm = await startTinyVm(t, pool, word, { options: [...options, ...others], ...rest })
  return { pool, vm, folder }
}

/** The update was refused, and the guest runs in the same QEMU without a lost tick. */
export async function expectRefused({ pool, vm }: Machine, words: RegExp): Promise<void> {
  const before = qemuPid(vm.name)
  const { status, stderr, report } = await updateVmm(pool)
  assert.equal(status, 1, `an update that loses ${words}: ${JSON.stringify(report)}`)
  assert.match(stderr, words)
  assert.equal(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
}

export async function expectUpdated({ pool, vm }: Machine): Promise<void> {
  const before = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  assert.match(stderr, /^[^\n]*: connections through its user networking net0 end with this QEMU\n$/)
  assert.notEqual(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
}
