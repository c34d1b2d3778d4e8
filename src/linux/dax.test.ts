import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { EBUSY, ENODEV } from '../values/errno.ts'
import { readDaxDevice, readDaxRegion, readDaxRegions } from './dax.ts'
import { createDaxDevice, mapDaxDevice, sameRanges } from './dax-device.ts'
import { fakeSysfs } from './testing/fake-sysfs.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30

test('no dax bus is no region', () => {
  assert.deepEqual(readDaxRegions('/nonexistent'), [])
})

test('after boot a region is one device that covers it', () => {
  const sysfs = fakeSysfs([{ id: 0, start: 4 * GIB, sizeBytes: GIB }])
  const [region] = readDaxRegions(sysfs)
  assert.deepEqual(
    { ...region, path: undefined, devices: region?.devices.map(({ path, ...device }) => device) },
    {
      id: 0,
      path: undefined,
      isCarveOut: true,
      isStatic: false,
      startByte: 4 * GIB,
      sizeBytes: GIB,
      alignBytes: 2 * MIB,
      targetNode: 1,
      devices: [
        {
          name: 'dax0.0',
          driver: undefined,
          number: '250:0',
          sizeBytes: GIB,
          alignBytes: 2 * MIB,
          mappings: [{ start: 4 * GIB, lengthBytes: GIB }],
        },
      ],
    },
  )
  rmSync(sysfs, { recursive: true })
})

test('mappings are read in the order of their pages, whatever their folders are called', () => {
  const mappings = [
    { start: 5 * GIB, lengthBytes: 4 * MIB },
    { start: 4 * GIB, lengthBytes: 2 * MIB },
    { start: 5 * GIB + 64 * MIB, lengthBytes: 8 * MIB },
  ]
  const devices = [{ number: '250:0' }, { number: '250:1', driver: 'device_dax', mappings }]
  const sysfs = fakeSysfs([{ id: 3, start: 4 * GIB, sizeBytes: 2 * GIB, devices }])
  const [region] = readDaxRegions(sysfs)
  assert.deepEqual(region?.devices[1]?.mappings, mappings)
  assert.equal(region?.devices[1]?.driver, 'device_dax')
  assert.equal(region?.startByte, 4 * GIB, 'the empty device 0 shows it')
  rmSync(sysfs, { recursive: true })
})

test('a region hides its start when no device is empty or has all of it', () => {
  const devices = [{ number: '250:0', mappings: [{ start: 5 * GIB, lengthBytes: 2 * MIB }] }]
  const sysfs = fakeSysfs([{ id: 0, start: 4 * GIB, sizeBytes: 2 * GIB, devices }])
  assert.equal(readDaxRegions(sysfs)[0]?.startByte, undefined)
  rmSync(sysfs, { recursive: true })
})

test('regions come by number, static ones and strangers among them', () => {
  const sysfs = fakeSysfs([
    { id: 10, start: 8 * GIB, sizeBytes: GIB },
    { id: 2, start: 4 * GIB, sizeBytes: GIB, parent: 'dax2.0_pmem', isStatic: true },
  ])
  assert.deepEqual(
    readDaxRegions(sysfs).map(({ id, isCarveOut, isStatic }) => ({ id, isCarveOut, isStatic })),
    [
      { id: 2, isCarveOut: false, isStatic: true },
      { id: 10, isCarveOut: true, isStatic: false },
    ],
  )
  rmSync(sysfs, { recursive: true })
})

test('what is gone is undefined, and changing it is ENODEV', () => {
  assert.equal(readDaxRegion('/nonexistent'), undefined)
  assert.equal(readDaxDevice('/nonexistent/dax0.1'), undefined)
  assert.equal(createDaxDevice({ path: '/nonexistent' }), ENODEV)
})

test('a bound device is given no memory: the kernel would accept it, and the driver would not use it', () => {
  const devices = [
    { number: '250:0', driver: 'device_dax', mappings: [{ start: 4 * GIB, lengthBytes: 2 * MIB }] },
  ]
  const sysfs = fakeSysfs([{ id: 0, start: 4 * GIB, sizeBytes: GIB, devices }])
  const device = readDaxDevice(join(sysfs, 'bus/dax/devices/dax0.0'))
  assert.ok(device)
  assert.equal(mapDaxDevice(device, [{ start: 4 * GIB + 2 * MIB, lengthBytes: 2 * MIB }]), EBUSY)
  rmSync(sysfs, { recursive: true })
})

test('ranges are the same only in the same order', () => {
  const [one, two] = [
    { start: 0, lengthBytes: 2 },
    { start: 8, lengthBytes: 2 },
  ]
  assert.ok(sameRanges([one, two], [one, two]))
  assert.ok(!sameRanges([one, two], [two, one]))
  assert.ok(!sameRanges([one], [one, two]))
  assert.ok(!sameRanges([one], [{ start: 0, lengthBytes: 4 }]))
})
