/**
 * Tests of memory of an ivshmem in a pool: of any size, had by several VMs, and where it is through their
 * updates; and that no guest's own RAM is taken for it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guestmemfs } from '../mount/support.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  QEMU,
  qemuPid,
  ramOptions,
  SMALL_MACHINE,
  startTinyVm,
  storeBytes,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

const AT = 0x100

const ivshmem = (pool: VmPool, size: string, { master = 'on', below = false } = {}): string[] => [
  ...['-object', `memory-backend-file,id=shared0,size=${size},mem-path=${pool.path('window')},share=on`],
  ...(below ? ['-device', 'pcie-root-port,id=port0', '-device', 'pcie-pci-bridge,id=bridge0,bus=port0'] : []),
  '-device',
  `ivshmem-plain,id=window0,memdev=shared0,master=${master}${below ? ',bus=bridge0,addr=3' : ''}`,
]

/** Where firmware has put the device's memory. */
async function addressOf(name: string): Promise<number> {
  const path = '/objects/shared0/shared0[0]'
  const address = await monitor(name, 'qom-get', { path, property: 'addr' })
  assert.ok(typeof address === 'number' && address > 0)
  return address
}

/** By a process that has mapped the memory as a third VM would. */
const store = (pool: VmPool, byte: number): Promise<void> => storeBytes(pool.path('window'), AT, byte)

/** As the guest reads it. */
async function word(name: string): Promise<string> {
  const line = `xp /1wx ${(await addressOf(name)) + AT}`
  const said = String(await monitor(name, 'human-monitor-command', { 'command-line': line }))
  return said.trim().split(' ').at(-1) as string
}

for (const [size, below] of [
  ['1M', false],
  ['4M', true],
] as const)
  test(`two VMs share ${size} of a pool${below ? ', by a device below bridges' : ''}: each is updated, and what was written is there for both`, async (t) => {
    const pool = await mountVmPool(t, '512M')
    const [one, two] = [
      await startTinyVm(t, pool, 'one', { seed: 1, options: ivshmem(pool, size, { below }) }),
      await startTinyVm(t, pool, 'two', { seed: 2, options: ivshmem(pool, size, { below }) }),
    ]
    const places = await Promise.all([one, two].map(({ name }) => addressOf(name)))
    await store(pool, 0x5a)
    for (const { name } of [one, two]) assert.equal(await word(name), '0x0000005a')

    const { status, report, stderr } = await updateVmm(pool)
    assert.deepEqual(
      [status, report.vms.map(({ outcome }) => outcome)],
      [0, ['updated', 'updated']],
      stderr + JSON.stringify(report),
    )
    for (const { name, serial } of [one, two]) {
      assert.equal(await word(name), '0x0000005a')
      await serial.moreTicks(2)
      assert.equal(serial.findBreak(), undefined)
    }
    // A write that comes while one of them has its old QEMU still, and the other its new one.
    assert.equal((await updateVmm(pool, '--name', one.name)).status, 0)
    await store(pool, 0x6b)
    for (const { name } of [one, two]) assert.equal(await word(name), '0x0000006b')
    assert.deepEqual(await Promise.all([one, two].map(({ name }) => addressOf(name))), places)
    const [shown] = await listVms(pool)
    assert.equal(shown?.ramBytes, 64 << 20, 'what is shared is not the RAM of either')
    assert.equal(shown.ramFiles.length, 2)
  })

test('what is shared is no guest’s own RAM, nor the other way round', async (t) => {
  const pool = await mountVmPool(t, '512M')
  const own = await startTinyVm(t, pool, 'own', { options: ivshmem(pool, '2M') })
  const line = ['--pool', pool.mountPoint, '--', QEMU, ...SMALL_MACHINE]
  const taker = await guestmemfs(
    'run',
    '--name',
    vmName('taker'),
    ...line,
    ...ramOptions(pool.path('window'), '2M'),
  )
  assert.equal(taker.status, 1)
  assert.match(taker.stderr, new RegExp(`VM ${own.name} on ${pool.path('window')} is running`))
  const sharing = ['-object', `memory-backend-file,id=s,size=64M,mem-path=${own.ramFile},share=on`]
  const reader = await guestmemfs(
    ...['run', '--name', vmName('reader'), ...line, ...ramOptions(pool.path('reader'), '64M')],
    ...[...sharing, '-device', 'ivshmem-plain,id=w,memdev=s,master=on'],
  )
  assert.equal(reader.status, 1)
  assert.match(reader.stderr, new RegExp(`VM ${own.name} on ${own.ramFile} is running`))
})

test('an ivshmem of a size that no PCI bar has, and one that blocks each update, are named', async (t) => {
  const pool = await mountVmPool(t)
  const line = ['run', '--name', vmName('odd'), '--pool', pool.mountPoint, '--', QEMU, ...SMALL_MACHINE]
  const odd = await guestmemfs(...line, ...ramOptions(pool.path('odd'), '64M'), ...ivshmem(pool, '3M'))
  assert.match(odd.stderr, /size=3M is not a power of two of at least 4K, as an ivshmem must have it/)
  const nameless = ivshmem(pool, '1M').map((word) => word.replace('id=window0,', ''))
  const anonymous = await guestmemfs(...line, ...ramOptions(pool.path('odd'), '64M'), ...nameless)
  assert.match(anonymous.stderr, /an ivshmem-plain needs an id=/)
  const peer = await startTinyVm(t, pool, 'peer', { options: ivshmem(pool, '1M', { master: 'off' }) })
  assert.match(peer.errors(), /window0.*master=on, or no update can save the guest/)
  const before = qemuPid(peer.name)
  assert.match((await updateVmm(pool)).stderr, /cannot be saved: .*peer mode/)
  assert.equal(qemuPid(peer.name), before)
})

test('two ivshmems below bridges of their own are each at the address that the guest has set', async (t) => {
  const pool = await mountVmPool(t)
  const options = [0, 1].flatMap((index) => [
    ...['-object', `memory-backend-file,id=s${index},size=1M,mem-path=${pool.path(`w${index}`)},share=on`],
    ...['-device', `pcie-root-port,id=port${index},chassis=${index}`],
    ...['-device', `pcie-pci-bridge,id=bridge${index},bus=port${index}`],
    ...['-device', `ivshmem-plain,id=w${index},memdev=s${index},master=on,bus=bridge${index},addr=3`],
  ])
  const vm = await startTinyVm(t, pool, 'branches', { options })
  const places = () =>
    Promise.all(
      [0, 1].map((index) =>
        monitor(vm.name, 'qom-get', { path: `/objects/s${index}/s${index}[0]`, property: 'addr' }),
      ),
    )
  const before = await places()
  assert.equal(new Set(before).size, 2)
  const { status, report, stderr } = await updateVmm(pool)
  assert.deepEqual([status, report.vms[0]?.outcome, stderr], [0, 'updated', ''])
  assert.deepEqual(await places(), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})
