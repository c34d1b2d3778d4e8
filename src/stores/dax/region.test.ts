import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import { type FakeDaxRegion, fakeSysfs } from '../../linux/testing/fake-sysfs.ts'
import { UsageError } from '../../values/errors.ts'
import { refuseInUse } from './probe.ts'
import { findDaxRegion, regionLockName } from './region.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30
const ONE: FakeDaxRegion = { id: 0, start: 4 * GIB, sizeBytes: GIB }
const TWO: FakeDaxRegion = { id: 1, start: 8 * GIB, sizeBytes: 2 * GIB }
const whole = { start: ONE.start, lengthBytes: GIB }
const metadata = { start: ONE.start + GIB - 16 * MIB, lengthBytes: 16 * MIB }

/** What is found, or the words of the refusal. */
function find(regions: readonly FakeDaxRegion[], wanted?: string, drivers?: string[]) {
  const sysfs = fakeSysfs(regions, drivers)
  try {
    return findDaxRegion(wanted, sysfs)
  } catch (error) {
    if (error instanceof UsageError) return error.message
    throw error
  } finally {
    rmSync(sysfs, { recursive: true })
  }
}

const nameOf = (found: ReturnType<typeof find>): string => (typeof found === 'string' ? found : found.name)

test('the only carve-out is found without a name, others by theirs', () => {
  assert.equal(nameOf(find([ONE])), 'dax0.0')
  for (const wanted of ['dax1.0', 'dax1', '0x200000000', '8G', '0X200000000'])
    assert.equal(nameOf(find([ONE, TWO], wanted)), 'dax1.0')
  const pmem = { ...TWO, parent: 'dax1.0_pmem', isStatic: true }
  assert.equal(nameOf(find([ONE, pmem])), 'dax0.0')
})

test('each refusal is one line that says what to do', () => {
  const claimed = { ...ONE, devices: [{ number: '250:0', driver: 'kmem', mappings: [whole] }] }
  const hidden = {
    ...ONE,
    devices: [{ number: '250:0', mappings: [{ start: 5 * GIB, lengthBytes: 2 * MIB }] }],
  }
  const pmem = { ...ONE, parent: 'dax0.0_pmem', isStatic: true }
  const refusals: [ReturnType<typeof find>, RegExp][] = [
    [find([]), /^there is no carve-out: .*'guestmemfs reserve' says how/],
    [find([pmem]), /^there is no carve-out/],
    [
      find([ONE, TWO]),
      /^there are several carve-outs: say which one with region=, of 0x100000000 \(dax0.0\), 0x200000000 \(dax1.0\)$/,
    ],
    [find([ONE], 'dax7'), /^there is no region dax7: there are 0x100000000 \(dax0.0\)$/],
    [find([ONE], '5G'), /^there is no region 5G: there are 0x100000000 \(dax0.0\)$/],
    [find([], 'dax7'), /^there is no region dax7: there is none at all$/],
    [
      find([claimed]),
      /^region dax0.0 is ordinary RAM now, claimed by kmem: boot with modprobe.blacklist=kmem$/,
    ],
    [find([pmem], 'dax0.0'), /^region dax0.0 cannot be cut into devices/],
    [find([ONE], undefined, []), /'modprobe device_dax'$/],
    [
      find([hidden]),
      /^region dax0.0 has devices that guestmemfs did not make: remove dax0.0 with 'daxctl destroy-device'$/,
    ],
    [find([{ ...ONE, sizeBytes: 32 * MIB }]), /^region dax0.0 has 32M: a pool needs 64M$/],
  ]
  for (const [refusal, words] of refusals) {
    assert.ok(typeof refusal === 'string', 'it was not refused')
    assert.match(refusal, words)
  }
})

test('a region that is named by its first byte is the same one when the kernel numbers it otherwise', () => {
  const [before, after] = [
    find([ONE, TWO], '0x200000000'),
    find(
      [
        { ...TWO, id: 0 },
        { ...ONE, id: 3 },
      ],
      '8G',
    ),
  ]
  assert.ok(typeof before !== 'string' && typeof after !== 'string')
  assert.deepEqual([before.name, after.name], ['dax1.0', 'dax0.0'])
  assert.deepEqual(after.layout, before.layout)
})

test('the lock of a region is called by its place: numbers change from boot to boot', () => {
  const [first, renumbered] = [find([ONE]), find([{ ...ONE, id: 5 }])]
  assert.ok(typeof first !== 'string' && typeof renumbered !== 'string')
  assert.equal(regionLockName(first), 'dax-100000000')
  assert.equal(regionLockName(renumbered), regionLockName(first))
})

test('a region knows its memory node: that of the firmware’s table, or what device-dax says', () => {
  const found = find([ONE])
  assert.ok(typeof found !== 'string')
  assert.deepEqual(found.nodes, [{ node: 1, start: ONE.start, lengthBytes: GIB }])
})

test('a region with devices of another program is refused, one with those of guestmemfs is not', () => {
  const empty = { number: '250:0' }
  const guest = {
    number: '250:2',
    driver: 'device_dax',
    mappings: [{ start: ONE.start, lengthBytes: 2 * MIB }],
  }
  const inUse = (devices: FakeDaxRegion['devices']): string | undefined => {
    const found = find([{ ...ONE, ...(devices && { devices }) }])
    assert.ok(typeof found !== 'string')
    try {
      refuseInUse(found)
      return undefined
    } catch (error) {
      assert.ok(error instanceof UsageError)
      return error.message
    }
  }
  assert.equal(inUse(undefined), undefined, 'as the kernel made it')
  assert.equal(inUse([empty]), undefined, 'empty')
  assert.equal(inUse([empty, { number: '250:1', mappings: [metadata] }]), undefined, 'we died making it')
  assert.equal(
    inUse([empty, { number: '250:1', driver: 'device_dax', mappings: [metadata] }, guest]),
    undefined,
    'devices of guestmemfs, with a guest',
  )
  assert.match(
    inUse([empty, guest]) ?? '',
    /^region dax0.0 has devices that guestmemfs did not make: remove dax0.1/,
  )
})
