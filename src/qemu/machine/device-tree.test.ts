/** Tests of reading QEMU's device tree: which lines describe the machine, and which the guest has set. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceItems } from './device-tree.ts'

const TREE = `bus: main-system-bus
  type System
  dev: q35-pcihost, id ""
    MCFG = 2952790016 (0xb0000000)
    bus: pcie.0
      type PCIE
      dev: virtio-net-pci, id "nic0"
        netdev = "net0"
        addr = 03.0
        busnr = 0 (0x0)
        class Ethernet controller, addr 00:03.0, pci id 1af4:1000 (sub 1af4:0001)
        bar 0: i/o at 0xffffffffffffffff [0x1e]
        bus: virtio-bus
          type virtio-pci-bus
          dev: virtio-net-device, id ""
            mac = "52:54:00:12:34:56"
      dev: ICH9-LPC, id ""
  dev: kvmvapic, id ""
`

test('devices with their bus, and the properties of those that have an id', () => {
  assert.deepEqual(deviceItems(TREE), [
    'q35-pcihost number 1: on main-system-bus',
    'virtio-net-pci "nic0": on pcie.0',
    'virtio-net-pci "nic0": netdev = "net0"',
    'virtio-net-pci "nic0": addr = 03.0',
    'virtio-net-device number 1: on virtio-bus',
    'ICH9-LPC number 1: on pcie.0',
    'kvmvapic number 1: on main-system-bus',
  ])
})

test('lines that end as on a terminal, and a tree that is none', () => {
  assert.deepEqual(deviceItems(TREE.replaceAll('\n', '\r\n')), deviceItems(TREE))
  assert.deepEqual(deviceItems('unknown command'), [])
})
