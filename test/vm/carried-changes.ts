/**
 * A guest whose machine tests change in every way that becomes part of the next command line, and those
 * changes.
 */
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { machineFacts } from '../../src/qemu/carry/machine-facts.ts'
import { askOf } from '../../src/qemu/machine/ask.ts'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { until } from '../mount/support.ts'
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

export interface Machine {
  readonly pool: VmPool
  readonly vm: TestVm
  readonly folder: string
}

const IMAGE_BYTES = 4 << 20

export function image(folder: string, name: string, byte: number): string {
  const path = join(folder, name)
  writeFileSync(path, Buffer.alloc(IMAGE_BYTES, byte))
  return path
}

/**
 * Starts it with a disk of `-blockdev`, one of `-drive`, a drive for media, and ports to plug devices into.
 */
export async function startMachine(t: TestContext, word: string): Promise<Machine> {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const options = [
    ...['-smp', '1,maxcpus=3', '-cpu', 'qemu64'],
    ...['-device', 'pcie-root-port,id=port0,chassis=1', '-device', 'pcie-root-port,id=port1,chassis=2'],
    ...[
      '-blockdev',
      `driver=file,node-name=file0,filename=${image(folder, 'disk0.raw', 0xa0)},discard=unmap`,
    ],
    ...['-blockdev', 'driver=raw,node-name=disk0,file=file0'],
    ...['-device', 'virtio-blk-pci,drive=disk0,id=vd0'],
    ...['-drive', `if=none,id=drive1,format=raw,file=${image(folder, 'disk1.raw', 0xa1)}`],
    ...['-device', 'virtio-blk-pci,drive=drive1,id=vd1'],
    ...['-device', 'ahci,id=ahci0', '-drive', 'if=none,id=cd0,media=cdrom,readonly=on'],
    ...['-device', 'ide-cd,drive=cd0,id=cdrom0,bus=ahci0.0', '-device', 'ide-cd,id=cdrom1,bus=ahci0.1'],
    ...['-device', 'virtio-scsi-pci,id=scsi0'],
    ...[
      '-blockdev',
      `driver=raw,node-name=disk2,file.driver=file,file.filename=${image(folder, 'disk2.raw', 0xa2)}`,
    ],
    ...['-device', 'scsi-hd,id=sd2,bus=scsi0.0,drive=disk2'],
  ]
  return { pool, vm: await startTinyVm(t, pool, word, { options, hasSerialFile: true }), folder }
}

export async function factsOf(
  { vm }: Pick<Machine, 'vm'>,
  plugged: readonly string[] = [],
): Promise<string[]> {
  const qmp = await QmpClient.connect(vmPaths(vm.name).qmp, 5000)
  try {
    return (await machineFacts(askOf(qmp), plugged)).toSorted()
  } finally {
    qmp.close()
  }
}

/** The VM has another QEMU with the same machine, and the guest has not lost a tick. */
export async function expectCarried(
  machine: Pick<Machine, 'pool' | 'vm'>,
  words: RegExp,
  plugged: readonly string[] = [],
): Promise<void> {
  const { pool, vm } = machine
  const before = { pid: qemuPid(vm.name), facts: await factsOf(machine, plugged) }
  const { status, stderr, report } = await updateVmm(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], stderr)
  assert.match(stderr, words)
  assert.notEqual(qemuPid(vm.name), before.pid)
  assert.deepEqual(await factsOf(machine, plugged), before.facts)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
  // The recorded line has the changes by now: the next update carries none.
  const again = await updateVmm(pool)
  assert.deepEqual([again.status, again.stderr], [0, ''])
  assert.deepEqual(await factsOf(machine, plugged), before.facts)
}

/**
 * Reads or writes bytes of a disk without the guest, by `qemu-io`, which prints on QEMU's standard output and
 * answers nothing: the guest's serial port must have a file of its own. `device`: an id, or the name that
 * QEMU gives to a drive without one.
 * @throws where not all of it was read or written, or other bytes were there than `-P` says
 */
export async function disk(
  { name, output }: Pick<TestVm, 'name' | 'output'>,
  device: string,
  command: string,
): Promise<void> {
  const qdev = device.startsWith('vd') ? `/machine/peripheral/${device}/virtio-backend` : device
  const of = /^(ide|virtio|floppy)\d/.test(device) ? device : `-d ${qdev}`
  const before = output().length
  const answer = await monitor(name, 'human-monitor-command', {
    'command-line': `qemu-io ${of} "${command}"`,
  })
  const said = () => `${answer}${output().slice(before)}`
  await until(`qemu-io has done ${command} on ${device}`, () => /ops\/sec\)|failed|error/i.test(said()), 5000)
  assert.match(said(), /^(read|wrote) (\d+)\/\2 bytes/m, `${device}: ${command}: ${said()}`)
  assert.doesNotMatch(said(), /failed|error/i, `${device}: ${command}: ${said()}`)
}

export const snapshot = (name: string, of: object, path: string, more: object = {}) =>
  monitor(name, 'blockdev-snapshot-sync', { ...of, 'snapshot-file': path, format: 'qcow2', ...more })

/** A device that is being unplugged holds the node for a moment. */
export const deleteNode = (name: string, node: string): Promise<void> =>
  until(
    `${node} can be deleted`,
    () =>
      monitor(name, 'blockdev-del', { 'node-name': node }).then(
        () => true,
        () => false,
      ),
    5000,
  )

/** Commits all overlays from `top` down into `base`, which is the top node afterwards. */
export async function commit(name: string, top: string, base: string): Promise<void> {
  const job = { id: 'commit0' }
  const keep = { 'auto-dismiss': false, 'job-id': job.id }
  await monitor(name, 'block-commit', { ...keep, device: top, 'base-node': base })
  const isOver = async (): Promise<boolean> => {
    const jobs = (await monitor(name, 'query-jobs')) as { id: string; status: string; error?: string }[]
    const now = jobs.find(({ id }) => id === job.id)
    if (now?.status === 'ready') await monitor(name, 'job-complete', job)
    if (now?.status !== 'concluded') return false
    await monitor(name, 'job-dismiss', job)
    assert.equal(now.error, undefined, `commit of ${top}`)
    return true
  }
  await until(`${top} is committed`, isOver, 5000)
}

/** Makes a qcow2 image in a file that QEMU has as the node `file`. */
export async function format(name: string, file: string): Promise<void> {
  const job = { id: 'create0' }
  const options = { driver: 'qcow2', file, size: IMAGE_BYTES }
  await monitor(name, 'blockdev-create', { 'job-id': job.id, options })
  const isOver = async (): Promise<boolean> => {
    const jobs = (await monitor(name, 'query-jobs')) as { id: string; status: string; error?: string }[]
    const now = jobs.find(({ id }) => id === job.id)
    assert.equal(now?.error, undefined)
    return now?.status === 'concluded'
  }
  await until(`an image is in ${file}`, isOver, 5000)
  await monitor(name, 'job-dismiss', job)
}

export const untilTried = (name: string): Promise<void> =>
  until('its next QEMU is tried', () =>
    readdirSync(vmPaths(name).directory).some((file) => file.startsWith('trial-')),
  )
