/**
 * Tests that a NIC has the same address and the same link after an update, also where another one was
 * unplugged.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../mount/support.ts'
import { monitor, mountVmPool, qemuPid, startTinyVm, type TestVm, updateVmm, type VmPool } from './support.ts'

/** Two NICs of whose addresses the line says nothing, each in a port of its own. */
const TWO_NICS = ['hubport,id=net0,hubid=0', 'user,id=net1'].flatMap((netdev, n) => [
  ...['-device', `pcie-root-port,id=port${n},chassis=${n + 1}`, '-netdev', netdev],
  ...['-device', `virtio-net-pci,netdev=net${n},id=nic${n},bus=port${n},romfile=`],
])

/** All that is said of them. */
const USER_NETWORKS = /^([^\n]*: connections through its user networking net\d end with this QEMU\n)+$/

const human = (name: string, line: string): Promise<string> =>
  monitor(name, 'human-monitor-command', { 'command-line': line }).then(String)

const macOf = (name: string, id: string): Promise<unknown> =>
  monitor(name, 'qom-get', { path: `/machine/peripheral/${id}`, property: 'mac' })

async function expectUpdated(pool: VmPool, vm: TestVm): Promise<string> {
  const pid = qemuPid(vm.name)
  const { status, stderr, report } = await updateVmm(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], stderr)
  assert.notEqual(qemuPid(vm.name), pid)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
  return stderr
}

/** Registers of ACPI's hot-plug of PCI devices in a q35 machine (docs/specs/acpi_pci_hotplug.rst in QEMU). */
const [DOWN, EJECT, SELECT] = [0xcc4, 0xcc8, 0xcd0]

/** Takes the device of a port out, as the guest's ACPI code does it. */
async function unplug(name: string, id: string, port: string): Promise<void> {
  await monitor(name, 'device_del', { id })
  const path = `/machine/peripheral/${port}/${port}`
  const bus = await monitor(name, 'qom-get', { path, property: 'acpi-pcihp-bsel' })
  for (const line of [`o/4 ${SELECT} ${bus}`, `o/4 ${EJECT} 1`]) await human(name, line)
  const isGone = async (): Promise<boolean> => !(await human(name, 'info qtree')).includes(`id "${id}"`)
  await until(`${id} is gone`, isGone, 5000)
}

test('a NIC keeps the address that QEMU numbered when the one before it was unplugged', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'numbered', { options: TWO_NICS })
  // Those that QEMU gives by itself.
  const macs = [await macOf(vm.name, 'nic0'), await macOf(vm.name, 'nic1')]
  assert.deepEqual(macs, ['52:54:00:12:34:56', '52:54:00:12:34:57'])
  await expectUpdated(pool, vm)
  assert.deepEqual([await macOf(vm.name, 'nic0'), await macOf(vm.name, 'nic1')], macs)
  await unplug(vm.name, 'nic0', 'port0')
  await monitor(vm.name, 'netdev_del', { id: 'net0' })
  assert.match(await expectUpdated(pool, vm), /without .*id=nic0/)
  assert.equal(await macOf(vm.name, 'nic1'), macs[1])
  assert.match(await expectUpdated(pool, vm), USER_NETWORKS)
  assert.equal(await macOf(vm.name, 'nic1'), macs[1])

  // The same words again: what is behind the name of its backend QEMU does not report.
  await unplug(vm.name, 'nic1', 'port1')
  const same = {
    driver: 'virtio-net-pci',
    id: 'nic1',
    netdev: 'net1',
    bus: 'port1',
    romfile: '',
    mac: macs[1],
  }
  await monitor(vm.name, 'device_add', same)
  assert.match(await expectUpdated(pool, vm), /NIC nic1 was plugged again: .* backend net1 is still that/)
  assert.match(await expectUpdated(pool, vm), USER_NETWORKS)
})

test('a device_del that the guest has not answered stays asked for, of a PCI device', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'asked', { options: TWO_NICS })
  const path = '/machine/peripheral/port0/port0'
  /** PCI_DOWN_BASE of the bus: a bit for each slot. */
  const asked = async (): Promise<number> => {
    const bus = await monitor(vm.name, 'qom-get', { path, property: 'acpi-pcihp-bsel' })
    await human(vm.name, `o/4 ${SELECT} ${bus}`)
    return lastWord(await human(vm.name, `i/w ${DOWN}`))
  }
  assert.equal(await asked(), 0)
  await monitor(vm.name, 'device_del', { id: 'nic0' })
  assert.equal(await asked(), 1)
  assert.match(await expectUpdated(pool, vm), USER_NETWORKS)
  assert.equal(await asked(), 1)
  await human(vm.name, `o/4 ${EJECT} 1`)
  const isGone = async (): Promise<boolean> => !(await human(vm.name, 'info qtree')).includes('id "nic0"')
  await until('nic0 is gone', isGone, 5000)
})

/** On the root bus, where firmware gives them addresses. A hub of its own: each has a peer. */
const nic = (driver: string, id: string): string[] => [
  ...['-netdev', `hubport,id=net-${id},hubid=${id.at(-1)}`],
  ...['-device', `${driver},netdev=net-${id},id=${id},romfile=`],
]

interface PciDevice {
  readonly qdev_id: string
  readonly regions: readonly { readonly bar: number; readonly address: number }[]
}

async function firstBar(name: string, id: string): Promise<number> {
  const buses = (await monitor(name, 'query-pci')) as { devices: PciDevice[] }[]
  const device = buses.flatMap(({ devices }) => devices).find(({ qdev_id }) => qdev_id === id)
  return device?.regions.find(({ bar }) => bar === 0)?.address ?? -1
}

const lastWord = (said: string): number => Number(said.trim().split(/\s+/).at(-1))

/** `status` of the device's configuration (struct virtio_net_config), as its driver reads it. */
const virtioLink = async (name: string, id: string): Promise<boolean> =>
  (lastWord(await human(name, `i/h ${(await firstBar(name, id)) + 0x14 + 6}`)) & 1) !== 0

/** STATUS.LU of an 82540. */
const e1000Link = async (name: string, id: string): Promise<boolean> =>
  (lastWord(await human(name, `xp/1wx ${(await firstBar(name, id)) + 8}`)) & 2) !== 0

test('a link that was set down is down for the guest, and one that was not is up', async (t) => {
  const pool = await mountVmPool(t)
  const options = [
    ...nic('virtio-net-pci', 'v0'),
    ...nic('virtio-net-pci', 'v1'),
    ...nic('e1000', 'e2'),
    ...nic('e1000', 'e3'),
  ]
  const { name, ...vm } = await startTinyVm(t, pool, 'links', { options })
  const links = async () => [
    await virtioLink(name, 'v0'),
    await virtioLink(name, 'v1'),
    await e1000Link(name, 'e2'),
    await e1000Link(name, 'e3'),
  ]
  assert.deepEqual(await links(), [true, true, true, true])
  await monitor(name, 'set_link', { name: 'v1', up: false })
  await monitor(name, 'set_link', { name: 'e3', up: false })
  for (const _ of [1, 2]) {
    assert.deepEqual(await links(), [true, false, true, false])
    assert.equal(await expectUpdated(pool, { name, ...vm }), '')
  }
  assert.deepEqual(await links(), [true, false, true, false])
})

test('where a type of NIC does not keep its link, the update says so', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'unkept', {
    options: [...nic('virtio-net-pci', 'v0'), ...nic('pcnet', 'p1'), ...nic('vmxnet3', 'x2')],
  })
  const said = await expectUpdated(pool, vm)
  assert.match(said, /the link of (x2 \(vmxnet3\), p1 \(pcnet\)|p1 .*, x2 .*\)) is up in its next QEMU/)
  assert.doesNotMatch(said, /v0/)
})
