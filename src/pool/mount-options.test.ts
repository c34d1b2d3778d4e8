import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MOUNT_FLAGS } from '../linux/mount.ts'
import { UsageError } from '../values/errors.ts'
import { parseMountOptions } from './mount-options.ts'
import { choosePoolSize } from './pool-size.ts'

const GIB = 2 ** 30

test('our option, the flags of mount(8) and the words of fstab are told apart', () => {
  assert.deepEqual(parseMountOptions(['rw,size=10G,noatime', 'nodev,_netdev,x-systemd.automount']), {
    store: undefined,
    region: undefined,
    sizeBytes: 10 * GIB,
    isNew: false,
    sessionFiles: 120,
    alignBytes: undefined,
    mountFlags: MOUNT_FLAGS.noatime | MOUNT_FLAGS.nodev,
  })
})

test('a word nobody knows and a size nobody can read are refused by name', () => {
  assert.throws(
    () => parseMountOptions(['sise=10G']),
    (error: unknown) => error instanceof UsageError && /'sise=10G'/.test(error.message),
  )
  assert.throws(
    () => parseMountOptions(['store=dax,new']),
    (error: unknown) => error instanceof UsageError && /format/.test(error.message),
  )
  assert.equal(parseMountOptions(['new']).isNew, true)
  assert.equal(parseMountOptions(['session-files=7']).sessionFiles, 7)
  assert.throws(() => parseMountOptions(['session-files=0']), UsageError)
  assert.throws(
    () => parseMountOptions(['size=ten']),
    (error: unknown) => error instanceof UsageError && /'ten'/.test(error.message),
  )
})

test('carve-outs have a place and no size; pages of 1G are for one of them alone', () => {
  const { store, region, alignBytes } = parseMountOptions(['store=dax,region=dax1.0,align=1G'])
  assert.deepEqual([store, region, alignBytes], ['dax', 'dax1.0', GIB])
  assert.equal(parseMountOptions(['store=devmem,region=4G,align=2M']).alignBytes, 2 ** 21)
  for (const [words, says] of [
    ['store=devmem,size=1G', /size= is not for store=devmem/],
    ['region=4G', /region= is only for store=dax and store=devmem/],
    ['store=devmem,align=1G', /align=1G is only for store=dax/],
    ['align=1G', /align=1G is only for store=dax/],
    ['store=dax,align=4M', /align=4M is no size of pages: take 2M or 1G/],
    ['store=hugetlb', /take memfd or dax or devmem/],
  ] as const)
    assert.throws(() => parseMountOptions([words]), says)
})

test('the size is what the mount asks for, else the kernel parameter, else half of the memory', () => {
  const machine = { totalBytes: 16 * GIB + 12345, commandLine: ['quiet', 'guestmemfs=4G'] }
  assert.equal(choosePoolSize(GIB, machine), GIB)
  assert.equal(choosePoolSize(undefined, machine), 4 * GIB)
  assert.equal(choosePoolSize(undefined, { ...machine, commandLine: [] }), 8 * GIB)
})

test('a pool is a whole number of blocks, at least one, and not larger than the memory', () => {
  const machine = { totalBytes: GIB, commandLine: [] }
  assert.equal(choosePoolSize(5 * 2 ** 20, machine), 4 * 2 ** 20)
  assert.throws(() => choosePoolSize(2 ** 20, machine), UsageError)
  assert.throws(() => choosePoolSize(2 * GIB, machine), UsageError)
})
