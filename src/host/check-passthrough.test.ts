import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { passthroughFinding, readPassthrough } from './check-passthrough.ts'

const HOST = { release: { major: 7, minor: 3 }, iommus: ['ivhd0'], devices: [], hasIommufd: true }
const messageOf = (change: object): string => passthroughFinding({ ...HOST, ...change }).message

test('what becomes of DMA over a kexec is said by the kernel’s version', () => {
  assert.match(
    messageOf({}),
    /Linux 7\.3 keeps no DMA mapping over a kexec \(7\.4 is the first that may\): .* suspended/,
  )
  assert.match(messageOf({ release: { major: 6, minor: 12 } }), /Linux 6\.12 keeps no DMA mapping/)
  assert.match(
    messageOf({ release: { major: 7, minor: 4 } }),
    /whether Linux 7\.4 can .* is not known to guestmemfs: .* suspended/,
  )
  assert.match(messageOf({ release: { major: 8, minor: 0 } }), /whether Linux 8\.0/)
})

test('devices are named, a few of them; without an IOMMU there is nothing to say of DMA', () => {
  assert.match(messageOf({ hasIommufd: false }), /^no device bound to VFIO, \/dev\/iommu is not there;/)
  const devices = ['a', 'b', 'c', 'd', 'e'].map((letter) => `0000:01:00.${letter}`)
  assert.match(
    messageOf({ devices }),
    /^0000:01:00\.a, 0000:01:00\.b, 0000:01:00\.c and 2 more bound to VFIO, \/dev\/iommu is there;/,
  )
  assert.match(messageOf({ iommus: [], devices }), /^no IOMMU is in use: [^;]*$/)
})

test('IOMMUs and devices are read from sysfs', (t) => {
  const sysfs = mkdtempSync(join(tmpdir(), 'passthrough-'))
  t.after(() => rmSync(sysfs, { recursive: true }))
  assert.deepEqual([readPassthrough(sysfs).iommus, readPassthrough(sysfs).devices], [[], []])
  mkdirSync(join(sysfs, 'class/iommu/dmar0'), { recursive: true })
  mkdirSync(join(sysfs, 'class/vfio-dev/vfio0'), { recursive: true })
  symlinkSync('../../../devices/pci0000:00/0000:00:04.0', join(sysfs, 'class/vfio-dev/vfio0/device'))
  const { iommus, devices } = readPassthrough(sysfs)
  assert.deepEqual([iommus, devices], [['dmar0'], ['0000:00:04.0']])
})
