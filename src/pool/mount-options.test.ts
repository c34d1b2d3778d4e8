import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryInfo } from '../linux/memory-info.ts'
import { MOUNT_FLAGS } from '../linux/mounts.ts'
import { UsageError } from '../values/errors.ts'
import { choosePoolSize } from './choose-pool-size.ts'
import { parseMountOptions } from './mount-options.ts'
import { addVfsOption, splitOptions } from './vfs-options.ts'

const GIB = 2 ** 30

test('options of guestmemfs, flags of mount(8) and words of fstab are told apart', () => {
  assert.deepEqual(parseMountOptions(['rw,size=10G,noatime', 'nodev,_netdev,x-systemd.automount']), {
    store: undefined,
    region: undefined,
    sizeBytes: 10 * GIB,
    isNew: false,
    sessionFiles: 120,
    alignBytes: undefined,
    rootDirectory: {},
    mountFlags: MOUNT_FLAGS.noatime | MOUNT_FLAGS.nodev,
    kernelOptions: [],
  })
})

test('the root directory of a new pool and its size are asked for as of tmpfs', () => {
  const { rootDirectory, sizeBytes } = parseMountOptions(['mode=01770,uid=107,gid=0,size=50%'])
  assert.deepEqual(rootDirectory, { mode: 0o1770, uid: 107, gid: 0 })
  assert.equal(sizeBytes, Math.floor(memoryInfo().totalBytes / 2))
  for (const word of ['mode=8', 'mode=', 'mode=17777', 'uid=root', 'uid=4294967295', 'gid=-1', 'size=%'])
    assert.throws(
      () => parseMountOptions([word]),
      (error: unknown) => error instanceof UsageError && error.message.includes(word.split('=')[1] ?? ''),
      word,
    )
})

test('of a flag and its opposite the later one counts, and every word of fstab is known', () => {
  const { ro, nosuid, noatime, relatime, strictatime, sync, dirsync, lazytime, nosymfollow } = MOUNT_FLAGS
  for (const [words, flags] of [
    ['ro,rw', 0],
    ['rw,ro', ro],
    ['sync,dirsync,async', 0],
    ['sync,dirsync', sync | dirsync],
    ['noatime,relatime', relatime],
    ['strictatime,noatime', noatime],
    ['noatime,atime', 0],
    ['relatime,strictatime,nodiratime,diratime', strictatime],
    ['nosuid,defaults,suid,nosuid', nosuid],
    ['lazytime,nosymfollow,nolazytime', nosymfollow],
    ['lazytime,symfollow,loud,nomand,norelatime,nostrictatime,noiversion', lazytime],
    ['noauto,nofail,_netdev,user,nouser,group,owner,x-systemd.after=a,X-mount.mkdir,comment=x', 0],
  ] as const)
    assert.equal(parseMountOptions([words]).mountFlags, flags, words)
  assert.throws(() => parseMountOptions(['mand']), /mandatory locks/)
  for (const word of ['constructor', 'huge=always', 'nr_inodes=7', 'modes=7'])
    assert.throws(() => parseMountOptions([word]), /unknown mount option/, word)
})

test('labels go to the kernel as they are, commas and all, where SELinux runs to take them', () => {
  const label = 'context="system_u:object_r:tmp_t:s0:c1,c2"'
  assert.deepEqual(splitOptions([`ro,${label}`, 'size=1G']), ['ro', label, 'size=1G'])
  const nothing = { mountFlags: 0, kernelOptions: [] }
  assert.deepEqual(addVfsOption(nothing, label, '/proc/self'), { mountFlags: 0, kernelOptions: [label] })
  assert.throws(() => addVfsOption(nothing, label, '/nonexistent'), /needs SELinux/)
})

test('an unknown word and a malformed size are refused by name', () => {
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
