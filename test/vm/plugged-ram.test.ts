/**
 * Tests of RAM that was plugged into a running guest: it is there after an update, byte for byte, in the file
 * or the stream; what was unplugged is not; and what would be lost is refused by name.
 */
import assert from 'node:assert/strict'
import { renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { guestmemfs, mountTestPool } from '../mount/support.ts'
import { moodyQemu } from './fake-qemu.ts'
import { leaveSaved } from './leave-saved.ts'
import {
  AT,
  addObject,
  DIMM_BYTES,
  dimmsOf,
  type Pluggable,
  plugDimm,
  plugFile,
  SIGNATURE,
  startPluggable,
  storeSignature,
  unplug,
  word,
} from './pluggable-guest.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  QEMU,
  qemuPid,
  quitFirst,
  ramOptions,
  resumeVms,
  SMALL_MACHINE,
  scratchFolder,
  startTinyVm,
  storeBytes,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

async function expectUpdated({ pool, vm, serial }: Pluggable, words: RegExp): Promise<void> {
  const before = { pid: qemuPid(vm.name), dimms: await dimmsOf(vm.name) }
  const { status, report, stderr } = await updateVmm(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], stderr + report.vms[0]?.problem)
  assert.match(stderr, words)
  assert.notEqual(qemuPid(vm.name), before.pid)
  assert.deepEqual(await dimmsOf(vm.name), before.dimms)
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
  const again = await updateVmm(pool)
  // At each update the command says that the guest is stopped while QEMU writes private RAM.
  assert.deepEqual([again.status, again.stderr.replace(/^.*of its RAM are private:.*\n/, '')], [0, ''])
  assert.deepEqual(await dimmsOf(vm.name), before.dimms)
}

async function filesOf(pool: VmPool): Promise<string[]> {
  return (await listVms(pool))[0]?.ramFiles.map(({ path }) => path) ?? []
}

test('DIMMs of a pool that were plugged are there afterwards with every byte, and those that were unplugged are not', async (t) => {
  const guest = await startPluggable(t, 'dimms')
  const { pool, vm } = guest
  const [first, second] = [await plugFile(pool, vm.name, 'dimm0'), await plugFile(pool, vm.name, 'dimm1')]
  await storeBytes(first, AT, 0x11)
  await storeBytes(second, AT, 0x22)
  await expectUpdated(guest, /its next QEMU is started with -object .*memory-dimm0.*dimm1/)
  const contents = async () =>
    await Promise.all(
      (await dimmsOf(vm.name)).map(async ({ id, addr }) => [id, await word(vm.name, addr + AT)]),
    )
  assert.deepEqual(await contents(), [
    ['dimm0', '0x00000011'],
    ['dimm1', '0x00000022'],
  ])
  assert.deepEqual(await filesOf(pool), [vm.ramFile, first, second])
  // The guest's from now on.
  const taker = ['run', '--name', vmName('taker'), '--pool', pool.mountPoint, '--', QEMU, ...SMALL_MACHINE]
  const taken = await guestmemfs(...taker, '-daemonize', '-S', ...ramOptions(first))
  assert.match(taken.stderr, new RegExp(`VM ${vm.name} on ${first} is running`))

  // The first of two goes: the other one keeps its slot and its address.
  await unplug(vm.name, 'dimm0')
  rmSync(first)
  await expectUpdated(guest, /without -object .*memory-dimm0.* without -device .*dimm0/)
  assert.deepEqual(await contents(), [['dimm1', '0x00000022']])
  assert.deepEqual(await filesOf(pool), [vm.ramFile, second])
  const third = await plugFile(pool, vm.name, 'dimm2')
  await storeBytes(third, AT, 0x33)
  await expectUpdated(guest, /memory-dimm2/)
  assert.deepEqual(
    new Set((await contents()).flat()),
    new Set(['dimm1', '0x00000022', 'dimm2', '0x00000033']),
  )
})

test('a DIMM of private memory goes through the stream', async (t) => {
  const guest = await startPluggable(t, 'private')
  const { vm } = guest
  await monitor(vm.name, 'object-add', {
    'qom-type': 'memory-backend-ram',
    id: 'memory-own0',
    size: DIMM_BYTES,
  })
  await plugDimm(vm.name, 'own0', 'memory-own0', { slot: 2 })
  const [dimm] = await dimmsOf(vm.name)
  assert.ok(dimm)
  assert.equal(await word(vm.name, dimm.addr + AT), '0x00000000')
  await storeSignature(vm, dimm.addr + AT)
  assert.equal(await word(vm.name, dimm.addr + AT), SIGNATURE)
  await expectUpdated(guest, /memory-own0/)
  assert.equal(await word(vm.name, dimm.addr + AT), SIGNATURE)
})

test('a DIMM that was plugged is there after a failed update and its resumption, and its file in a second pool', async (t) => {
  const qemu = moodyQemu(scratchFolder(t))
  const guest = await startPluggable(t, 'undone', {
    qemu: qemu.path,
    options: quitFirst(scratchFolder(t)),
  })
  const { pool, vm, serial } = guest
  const second = await mountTestPool(t, { size: '128M' })
  const path = await plugFile(second, vm.name, 'dimm0')
  await storeBytes(path, AT, 0x44)
  await leaveSaved(pool, qemu)
  assert.equal((await guestmemfs('umount', second.mountPoint)).status, 0)
  const missing = await resumeVms(pool, '--timeout', '500ms')
  assert.match(missing.report.vms[0]?.problem ?? '', new RegExp(`its RAM file ${path} is missing`))
  assert.equal((await guestmemfs('mount', second.pool, second.mountPoint)).status, 0)
  const { status, report } = await resumeVms(pool)
  assert.equal(status, 0, report.vms[0]?.problem ?? '')
  const [dimm] = await dimmsOf(vm.name)
  assert.equal(await word(vm.name, (dimm?.addr ?? 0) + AT), '0x00000044')
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)

  const plan = await guestmemfs(
    ...['live-update', '--kernel', '/nonexistent', '--reuse-cmdline', '--dry-run', pool.mountPoint],
  )
  assert.match(plan.stdout + plan.stderr, new RegExp(`pool '${second.pool}' .* VM ${vm.name} with it`))
})

test('what was plugged and would be lost is refused by name, and the guest runs on', async (t) => {
  const { pool, vm, serial } = await startPluggable(t, 'refused')
  const other = await startTinyVm(t, pool, 'other', { seed: 2 })
  const before = qemuPid(vm.name)
  const refuse = async (id: string, object: Record<string, unknown>, why: RegExp, between = () => {}) => {
    await monitor(vm.name, 'object-add', { id: `memory-${id}`, size: DIMM_BYTES, ...object })
    await plugDimm(vm.name, id, `memory-${id}`)
    between()
    const { report } = await updateVmm(pool, '--name', vm.name).then(async (outcome) => {
      assert.equal(outcome.status, 1)
      assert.match(outcome.stderr, why)
      return outcome
    })
    assert.deepEqual(report.vms, [])
    assert.equal(qemuPid(vm.name), before)
    await unplug(vm.name, id)
  }
  const file = (path: string, more: object = {}) => ({
    'qom-type': 'memory-backend-file',
    'mem-path': path,
    share: true,
    ...more,
  })
  await refuse(
    'memfd',
    { 'qom-type': 'memory-backend-memfd' },
    /64M of its RAM \(memory-backend-memfd, 'memory-memfd'\) are not in the pool and would be lost: take them out \(device_del, object-del\), and plug a file of the pool/,
  )
  const outside = join(scratchFolder(t), 'outside')
  await refuse('outside', file(outside), /are not in the pool and would be lost/)
  await refuse('copy', file(pool.path('copy'), { share: false }), /RAM 'memory-copy' on \S+ needs share=on/)
  await refuse('theirs', file(other.ramFile), new RegExp(`${other.ramFile} is RAM of VM ${other.name}`))
  await refuse(
    'odd',
    file(pool.path('odd'), { size: 3 << 20 }),
    /the size of RAM 'memory-odd' is not a multiple of 2 MiB/,
  )
  await refuse('thrown', file(pool.path('thrown'), { 'discard-data': true }), /has discard-data=true/)
  await refuse(
    'moved',
    file(pool.path('moved')),
    /is not the file that QEMU has as RAM 'memory-moved': it was renamed or replaced/,
    () => {
      renameSync(pool.path('moved'), pool.path('elsewhere'))
      writeFileSync(pool.path('moved'), '')
      truncateSync(pool.path('moved'), DIMM_BYTES)
    },
  )
  // Nothing is left of it: the guest is updated.
  const { status, stderr } = await updateVmm(pool, '--name', vm.name)
  assert.deepEqual([status, stderr], [0, ''])
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
})

test('memory that was replaced by other memory of the same name is the one that the next QEMU has', async (t) => {
  const guest = await startPluggable(t, 'replaced')
  const { pool, vm } = guest
  await plugFile(pool, vm.name, 'dimm0')
  await expectUpdated(guest, /memory-dimm0/)
  await unplug(vm.name, 'dimm0')
  const path = pool.path('another')
  writeFileSync(path, '')
  truncateSync(path, DIMM_BYTES)
  await addObject(vm.name, 'memory-dimm0', { 'mem-path': path })
  await plugDimm(vm.name, 'dimm0', 'memory-dimm0', { slot: 3 })
  await storeBytes(path, AT, 0x55)
  await expectUpdated(guest, /another/)
  const [dimm] = await dimmsOf(vm.name)
  assert.equal(await word(vm.name, (dimm?.addr ?? 0) + AT), '0x00000055')
  assert.deepEqual(await filesOf(pool), [vm.ramFile, path])
})

for (const driver of ['virtio-mem-pci', 'virtio-pmem-pci'])
  test(`a ${driver} that was plugged is refused by name`, async (t) => {
    const { pool, vm } = await startPluggable(t, driver.split('-')[1] as string, {
      options: ['-device', 'pcie-root-port,id=port0'],
    })
    await addObject(vm.name, 'memory0', { 'mem-path': pool.path('memory') })
    await monitor(vm.name, 'device_add', { driver, id: 'plugged0', memdev: 'memory0', bus: 'port0' })
    const before = qemuPid(vm.name)
    const { status, stderr } = await updateVmm(pool)
    assert.equal(status, 1)
    assert.match(stderr, new RegExp(`\\(a ${driver.slice(0, -4)} was plugged\\)`))
    assert.equal(qemuPid(vm.name), before)
  })

test('memory devices of the command line are the same afterwards, with what they hold', async (t) => {
  const backend = (pool: string, id: string): string[] => [
    '-object',
    `memory-backend-file,id=${id},size=64M,mem-path=${pool},share=on`,
  ]
  const own = await mountVmPool(t)
  const second = await mountTestPool(t, { size: '512M' })
  const files = ['m0', 'm1', 'm2', 'm3'].map((name) => second.path(name)) as [string, string, string, string]
  const { pool, vm, serial } = await startPluggable(t, 'typed', {
    pool: own,
    runOptions: ['--pool', second.mountPoint],
    options: [
      ...['-machine', 'nvdimm=on', ...backend(files[0], 'm0'), '-device', 'pc-dimm,id=dimm0,memdev=m0'],
      ...[...backend(files[1], 'm1'), '-device', 'nvdimm,id=nvdimm0,memdev=m1'],
      ...[...backend(files[2], 'm2'), '-device', 'virtio-mem-pci,id=vmem0,memdev=m2,requested-size=0'],
      ...[...backend(files[3], 'm3'), '-device', 'virtio-pmem-pci,id=pmem0,memdev=m3'],
    ],
  })
  const size = { path: '/machine/peripheral/vmem0', property: 'requested-size' }
  await monitor(vm.name, 'qom-set', { ...size, value: 32 << 20 })
  for (const [index, path] of files.entries()) await storeBytes(path, AT, 0x60 + index)
  const before = await monitor(vm.name, 'query-memory-devices')
  for (let round = 0; round < 2; round++) {
    const { status, stderr, report } = await updateVmm(pool)
    assert.deepEqual([status, stderr], [0, ''], report.vms[0]?.problem ?? '')
    const now = (await monitor(vm.name, 'query-memory-devices')) as {
      data: { addr?: number; memaddr?: number }
    }[]
    assert.deepEqual(now, before)
    assert.equal(await monitor(vm.name, 'qom-get', size), 32 << 20)
    const [dimm, nvdimm] = now.flatMap(({ data: { addr } }) => addr ?? [])
    assert.equal(await word(vm.name, (dimm ?? 0) + AT), '0x00000060')
    assert.equal(await word(vm.name, (nvdimm ?? 0) + AT), '0x00000061')
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  }
})
