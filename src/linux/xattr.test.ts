/** Tests of extended attributes on a real file and a real symlink. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EEXIST, ENODATA, ENOENT, EOPNOTSUPP, EPERM } from '../values/errno.ts'
import { XATTR_CREATE, XATTR_REPLACE } from '../values/xattr-names.ts'
import {
  getxattr,
  lgetxattr,
  listxattr,
  llistxattr,
  lremovexattr,
  lsetxattr,
  removexattr,
  setxattr,
} from './xattr.ts'

const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-xattr-'))
after(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'für')
writeFileSync(file, '')
const link = join(folder, 'link')
symlinkSync(file, link)

const refused =
  setxattr(file, 'user.test', new Uint8Array(1)) === EOPNOTSUPP ? `${tmpdir()} has no xattrs` : false

test('a value of any size and any bytes comes back', { skip: refused }, () => {
  for (const size of [0, 1, 1024, 1025, 3000]) {
    const value = Uint8Array.from({ length: size }, (_, index) => index * 7)
    assert.equal(setxattr(file, 'user.value', value), undefined)
    assert.deepEqual(getxattr(file, 'user.value'), value)
  }
})

test('create, replace, list, remove', { skip: refused }, () => {
  const value = Buffer.from('1')
  assert.equal(setxattr(file, 'user.a', value, XATTR_CREATE), undefined)
  assert.equal(setxattr(file, 'user.a', value, XATTR_CREATE), EEXIST)
  assert.equal(setxattr(file, 'user.b', value, XATTR_REPLACE), ENODATA)
  assert.ok((listxattr(file) as string[]).includes('user.a'))
  assert.equal(removexattr(file, 'user.a'), undefined)
  assert.equal(removexattr(file, 'user.a'), ENODATA)
  assert.equal(getxattr(file, 'user.a'), ENODATA)
  assert.ok(!(listxattr(file) as string[]).includes('user.a'))
})

test('the l calls stop at a symlink', { skip: refused }, () => {
  const value = Buffer.from('through')
  assert.equal(setxattr(link, 'user.c', value), undefined)
  assert.deepEqual(getxattr(file, 'user.c'), new Uint8Array(value))
  assert.equal(lgetxattr(link, 'user.c'), ENODATA)
  assert.equal(lsetxattr(link, 'user.c', value), EPERM)
  assert.deepEqual(lgetxattr(file, 'user.c'), new Uint8Array(value))
  assert.ok(!(llistxattr(link) as string[]).includes('user.c'))
  assert.equal(lremovexattr(file, 'user.c'), undefined)
})

test('a path that is not there', () => {
  assert.equal(getxattr(join(folder, 'no'), 'user.a'), ENOENT)
  assert.equal(listxattr(join(folder, 'no')), ENOENT)
})
