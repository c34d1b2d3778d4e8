/**
 * Tests that no other guest gets RAM that was plugged before it is on record, and that no guest gets by it
 * what its user may not open.
 */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { guestmemfs, type Outcome } from '../mount/support.ts'
import { NOBODY, startNobodysVm } from './nobodys-vm.ts'
import { addObject, DIMM_BYTES, plugFile, startPluggable, unplug } from './pluggable-guest.ts'
import {
  listVms,
  monitor,
  QEMU,
  qemuPid,
  quitFirst,
  ramOptions,
  SMALL_MACHINE,
  startTinyVm,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

const SIZE = '64M'

/** `run` of another guest, in the background and stopped, with `options`. */
const take = (pool: VmPool, name: string, options: string[], ...words: string[]): Promise<Outcome> =>
  guestmemfs(
    ...['run', '--name', name, '--pool', pool.mountPoint, ...words, '--'],
    ...[QEMU, ...SMALL_MACHINE, '-daemonize', '-S', ...options],
  )

test('the file of a DIMM is no other guest’s from the moment when it is plugged', async (t) => {
  const { pool, vm, serial } = await startPluggable(t, 'plugged')
  const path = await plugFile(pool, vm.name, 'dimm0')
  for (const words of [[], ['--replace']]) {
    const { status, stderr } = await take(pool, vmName('taker'), ramOptions(path), ...words)
    assert.equal(status, 1, stderr)
    assert.match(
      stderr,
      new RegExp(
        `^guestmemfs: ${path} was plugged into VM ${vm.name}, which is running \\(process ${qemuPid(vm.name)}\\): take it out there`,
      ),
    )
  }
  assert.deepEqual(
    (await listVms(pool)).map(({ name }) => name),
    [vm.name],
  )
  await unplug(vm.name, 'dimm0')
  const name = vmName('next')
  const { status, stderr } = await take(pool, name, ramOptions(path))
  assert.equal(status, 0, stderr)
  await monitor(name, 'quit').catch(() => {})
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
})

test('the file of a DIMM is no other guest’s where the record of the guest that has it is damaged', async (t) => {
  const { pool, vm, serial } = await startPluggable(t, 'damaged')
  const path = await plugFile(pool, vm.name, 'dimm0')
  const { record } = vmPaths(vm.name)
  const whole = readFileSync(record, 'utf8')
  const pid = qemuPid(vm.name)
  writeFileSync(record, whole.slice(0, whole.length / 2))
  try {
    const taken = await take(pool, vmName('taker'), ramOptions(path))
    assert.equal(taken.status, 1, taken.stderr)
    assert.match(
      taken.stderr,
      new RegExp(`^guestmemfs: VM ${vm.name}: whether it runs is not known, as ${record} is damaged`),
    )
    // It holds up no guest on another file.
    const other = await take(pool, vmName('other'), ramOptions(pool.path('other')))
    assert.equal(other.status, 0, other.stderr)
    await monitor(vmName('other'), 'quit').catch(() => {})
  } finally {
    writeFileSync(record, whole)
  }
  assert.equal(qemuPid(vm.name), pid)
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
})

test('memory that was plugged into two guests is neither’s: each is refused until the other has released it', async (t) => {
  const one = await startPluggable(t, 'one')
  const other = await startTinyVm(t, one.pool, 'other', { seed: 2 })
  const path = await plugFile(one.pool, one.vm.name, 'dimm0')
  await addObject(other.name, 'memory-dimm0', { 'mem-path': path })
  for (const [mine, theirs] of [
    [one.vm.name, other.name],
    [other.name, one.vm.name],
  ] as const) {
    const before = qemuPid(mine)
    const { status, stderr } = await updateVmm(one.pool, '--name', mine)
    assert.equal(status, 1)
    assert.match(
      stderr,
      new RegExp(`${path} was plugged into VM ${theirs}, too \\(process ${qemuPid(theirs)}\\)`),
    )
    assert.equal(qemuPid(mine), before)
  }
  await monitor(other.name, 'object-del', { id: 'memory-dimm0' })
  const { status, stderr } = await updateVmm(one.pool)
  assert.equal(status, 0, stderr)
  await Promise.all([one.serial, other.serial].map((serial) => serial.moreTicks(2)))
})

test('memory of an ivshmem that was plugged may be had by another guest, also as that alone', async (t) => {
  const below = ['-device', 'pcie-root-port,id=port0', '-device', 'pcie-pci-bridge,id=bridge0,bus=port0']
  const { pool, vm } = await startPluggable(t, 'windowed', { options: below })
  const path = pool.path('window')
  writeFileSync(path, '')
  truncateSync(path, 4 << 20)
  const window = [
    ...['-object', `memory-backend-file,id=shared0,size=4M,mem-path=${path},share=on`],
    ...['-device', 'ivshmem-plain,id=window0,memdev=shared0,master=on'],
  ]
  const name = vmName('beside')
  await addObject(vm.name, 'shared0', { 'mem-path': path, size: 4 << 20 })
  const refused = await take(pool, name, [...ramOptions(pool.path('beside'), SIZE), ...window])
  assert.match(refused.stderr, new RegExp(`window was plugged into VM ${vm.name}, which is running`))
  await monitor(vm.name, 'device_add', {
    ...{ driver: 'ivshmem-plain', id: 'window0', memdev: 'shared0', master: 'on' },
    ...{ bus: 'bridge0', addr: '3' },
  })
  const taken = await take(pool, name, [...ramOptions(pool.path('beside'), SIZE), ...window])
  assert.equal(taken.status, 0, taken.stderr)
  await monitor(name, 'quit').catch(() => {})
})

test('a file that the user of a guest may not open is not carried as its RAM: it runs on', async (t) => {
  // The old QEMU would end before the next one found that it cannot open it.
  const { pool, vm } = await startNobodysVm(t, 'poor', { options: quitFirst })
  const path = join(pool.path('theirs'), 'more')
  writeFileSync(path, '')
  truncateSync(path, DIMM_BYTES)
  chownSync(path, NOBODY, NOBODY)
  await addObject(vm.name, 'more', { 'mem-path': path })
  chownSync(path, 0, 0)
  chmodSync(path, 0o600)
  const before = qemuPid(vm.name)
  const { status, stderr, report } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(
    stderr,
    new RegExp(
      `${path} cannot be opened by the VM's user \\(uid ${NOBODY}\\), as whom its next QEMU runs: EACCES`,
    ),
  )
  assert.deepEqual(report.vms, [])
  assert.equal(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  chownSync(path, NOBODY, NOBODY)
  const again = await updateVmm(pool)
  assert.equal(again.status, 0, again.stderr)
  await vm.serial.moreTicks(2)
})
