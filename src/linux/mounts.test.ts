/**
 * Tests of the mount table's parser, on samples and on the machine's own; mounting itself is tested in
 * test/mount/.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENOENT } from '../values/errno.ts'
import {
  abortFuseConnection,
  isPoolMount,
  mountHolding,
  mountTable,
  parseMountInfo,
  unmount,
} from './mounts.ts'

test('a line with everything in it', () => {
  const line =
    '36 35 0:41 /mnt1 /mnt/a\\040b\\134c\\303\\274 rw,noatime shared:1 master:2 - fuse.guestmemfs my\\040pool rw,user_id=0,allow_other'
  assert.deepEqual(parseMountInfo(`${line}\n`), [
    {
      id: 36,
      parentId: 35,
      major: 0,
      minor: 41,
      root: '/mnt1',
      target: '/mnt/a b\\cü',
      options: ['rw', 'noatime'],
      type: 'fuse.guestmemfs',
      source: 'my pool',
      superOptions: ['rw', 'user_id=0', 'allow_other'],
    },
  ])
})

test('names in plain UTF-8, an empty source, no optional fields', () => {
  const [mount] = parseMountInfo(Buffer.from('1 0 8:1 / /für rw - ext4  rw').toString('latin1'))
  assert.equal(mount?.target, '/für')
  assert.equal(mount?.source, '')
})

test('lines of another shape are left out', () => {
  assert.deepEqual(parseMountInfo('\nnonsense\n1 0 8:1 / /x rw\n1 0 8 / /x rw - ext4 a rw\n'), [])
})

test("the machine's own table has a root and /proc", () => {
  const targets = mountTable().map(({ target }) => target)
  assert.ok(targets.includes('/') && targets.includes('/proc'))
})

test('a path lies in the mount that is deepest, and was made last', () => {
  const lines = ['/ - ext4 a rw', '/srv - ext4 b rw', '/srv/vm - autofs c rw', '/srv/vm - ext4 d rw']
  const table = parseMountInfo(lines.map((line) => `1 0 8:1 / ${line.replace(' -', ' rw -')}`).join('\n'))
  const source = (path: string) => mountHolding(path, table)?.source
  assert.deepEqual(['/', '/srvx', '/srv', '/srv/a', '/srv/vm', '/srv/vm/disk'].map(source), [
    'a',
    'a',
    'b',
    'b',
    'd',
    'd',
  ])
  assert.equal(mountHolding('/srv', []), undefined)
})

test('a mount or connection that does not exist cannot be unmounted or aborted', () => {
  assert.notEqual(unmount('/nowhere/at/all', { lazy: false }), undefined)
  assert.equal(abortFuseConnection(999_999_999), ENOENT)
})

test("a user's mount that has the type and the name of a pool is none", () => {
  const of = (options: string): boolean => {
    const line = `36 35 0:41 / /home/u/m rw,nosuid,nodev - fuse.guestmemfs vms rw,${options}`
    return parseMountInfo(line).every(isPoolMount)
  }
  assert.equal(of('user_id=0,group_id=0,allow_other'), true)
  assert.equal(of('user_id=1000,group_id=1000'), false)
  assert.equal(of('user_id=1000,group_id=0,allow_other'), false)
})
