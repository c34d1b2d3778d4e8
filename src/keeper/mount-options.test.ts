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
  assert.throws(
    () => parseMountOptions(['size=ten']),
    (error: unknown) => error instanceof UsageError && /'ten'/.test(error.message),
  )
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
