/** Tests that extended attributes are kept, bounded and protected through a real kernel. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { getxattr, listxattr, lsetxattr, removexattr, setxattr } from '../../src/linux/xattr.ts'
import { XATTR_CREATE, XATTR_REPLACE } from '../../src/values/xattr-names.ts'
import { answersTo } from './refused.ts'
import { cannotMount, folders, mountTestPool, nodeAsStranger, STRANGER } from './support.ts'

const OWNER = fileURLToPath(new URL('xattr-owner.ts', import.meta.url))
const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (path: string, name: string): string => String(Buffer.from(getxattr(path, name) as Uint8Array))

test('extended attributes', { skip: cannotMount, timeout: 90_000 }, async (t) => {
  const pool = await mountTestPool(t)
  const folder = folders(pool)

  await t.test('user and trusted ones are kept byte for byte, listed, replaced and removed', () => {
    const path = folder('kept')
    fs.writeFileSync(path('file'), '')
    fs.symlinkSync('nowhere', path('link'))
    const value = randomBytes(300)
    for (const where of [path('file'), path()]) {
      assert.equal(setxattr(where, 'user.one', value), undefined)
      assert.equal(setxattr(where, 'trusted.two', bytes('')), undefined)
      assert.deepEqual(Buffer.from(getxattr(where, 'user.one') as Uint8Array), value)
      assert.deepEqual((listxattr(where) as string[]).toSorted(), ['trusted.two', 'user.one'])
      assert.equal(removexattr(where, 'trusted.two'), undefined)
    }
    assert.deepEqual(
      answersTo({
        'create what is there': () => setxattr(path('file'), 'user.one', value, XATTR_CREATE),
        'replace what is not': () => setxattr(path('file'), 'user.none', value, XATTR_REPLACE),
        'read what is not': () => getxattr(path('file'), 'user.none'),
        'remove what is not': () => removexattr(path('file'), 'user.none'),
        'an unknown namespace': () => setxattr(path('file'), 'other.x', value),
        'no namespace': () => setxattr(path('file'), 'x', value),
        'of a symlink': () => lsetxattr(path('link'), 'user.x', value),
        'trusted, of a symlink': () => lsetxattr(path('link'), 'trusted.x', value),
      }),
      {
        'create what is there': 'EEXIST',
        'replace what is not': 'ENODATA',
        'read what is not': 'ENODATA',
        'remove what is not': 'ENODATA',
        'an unknown namespace': 'EOPNOTSUPP',
        'no namespace': 'EOPNOTSUPP',
        'of a symlink': 'EPERM',
        'trusted, of a symlink': 'ok',
      },
    )
    // A rename keeps xattrs.
    fs.renameSync(path('file'), path('moved'))
    assert.deepEqual(Buffer.from(getxattr(path('moved'), 'user.one') as Uint8Array), value)
  })

  await t.test('one is 64 KiB at most, and so are the names of one file together', () => {
    const path = folder('limits')
    fs.writeFileSync(path('file'), '')
    const largest = randomBytes(65_536)
    assert.equal(setxattr(path('file'), 'user.large', largest), undefined)
    assert.deepEqual(Buffer.from(getxattr(path('file'), 'user.large') as Uint8Array), largest)
    fs.writeFileSync(path('many'), '')
    // 256 names of 255 bytes and a NUL each are exactly 64 KiB.
    const name = (index: number): string => `user.${String(index).padStart(3, '0')}`.padEnd(255, 'n')
    for (let index = 0; index < 256; index++)
      assert.equal(setxattr(path('many'), name(index), bytes('')), undefined, String(index))
    assert.equal((listxattr(path('many')) as string[]).length, 256)
    assert.deepEqual(
      answersTo({
        'a value too large': () => setxattr(path('file'), 'user.large', randomBytes(65_537)),
        'a name too long': () => setxattr(path('file'), `user.${'x'.repeat(251)}`, largest),
        'one name too many': () => setxattr(path('many'), 'user.x', bytes('')),
        'a value for a name that is there': () => setxattr(path('many'), name(7), bytes('seven')),
        'one name for another': () =>
          removexattr(path('many'), name(8)) ?? setxattr(path('many'), 'user.x', bytes('')),
      }),
      {
        'a value too large': 'E2BIG',
        'a name too long': 'ERANGE',
        'one name too many': 'ENOSPC',
        'a value for a name that is there': 'ok',
        'one name for another': 'ok',
      },
    )
    assert.deepEqual(Buffer.from(getxattr(path('file'), 'user.large') as Uint8Array), largest)
  })

  await t.test('the mount describes itself and its files, to everyone, and lists none of it', async () => {
    const path = folder('virtual')
    fs.chmodSync(path(), 0o755)
    fs.writeFileSync(path('ram'), '')
    fs.truncateSync(path('ram'), 6 * 1024 * 1024)
    const json = (where: string, name: string) => JSON.parse(text(where, `guestmemfs.${name}`))
    assert.equal(json(pool.mountPoint, 'pool').name, pool.pool)
    assert.equal(json(pool.mountPoint, 'pool').store, 'memfd')
    const { totalBlocks, ownedBlocks, cleanBlocks, blockBytes } = json(pool.mountPoint, 'geometry')
    assert.deepEqual([totalBlocks, ownedBlocks, cleanBlocks, blockBytes], [128, 3, 125, 2 * 1024 * 1024])
    assert.deepEqual(json(pool.mountPoint, 'vms'), [])
    assert.equal(json(pool.mountPoint, 'server').pid, pool.serverPid())
    assert.equal(
      json(path('ram'), 'extents').reduce(
        (sum: number, each: { lengthBytes: number }) => sum + each.lengthBytes,
        0,
      ),
      6 * 1024 * 1024,
    )
    assert.equal(json(path('ram'), 'map').kind, 'file')
    assert.deepEqual([listxattr(pool.mountPoint), listxattr(path('ram'))], [[], []])
    const refused = {
      'write one': () => setxattr(pool.mountPoint, 'guestmemfs.pool', bytes('x')),
      'remove one': () => removexattr(path('ram'), 'guestmemfs.extents'),
      'read none': () => getxattr(path('ram'), 'guestmemfs.none'),
      'control a file': () => setxattr(path('ram'), 'trusted.guestmemfs.frozen', bytes('1')),
      'control with nonsense': () => setxattr(pool.mountPoint, 'trusted.guestmemfs.frozen', bytes('perhaps')),
      'control what is not': () => setxattr(pool.mountPoint, 'trusted.guestmemfs.other', bytes('1')),
      'record a VM that is none': () => setxattr(path('ram'), 'trusted.guestmemfs.vm', bytes('not JSON')),
    }
    assert.deepEqual(answersTo(refused), {
      'write one': 'EPERM',
      'remove one': 'EPERM',
      'read none': 'ENODATA',
      'control a file': 'EINVAL',
      'control with nonsense': 'EINVAL',
      'control what is not': 'EINVAL',
      'record a VM that is none': 'EINVAL',
    })
    assert.equal(setxattr(path('ram'), 'trusted.guestmemfs.vm', bytes('{"name":"one"}')), undefined)
    assert.deepEqual(
      json(pool.mountPoint, 'vms').map((vm: { path: string }) => vm.path),
      ['virtual/ram'],
    )
    assert.deepEqual(listxattr(path('ram')), [])
  })

  await t.test('an owner without privilege: user attributes, and nothing that root acts on', async () => {
    const path = folder('owner')
    fs.writeFileSync(path('theirs'), '')
    fs.truncateSync(path('theirs'), 2 * 1024 * 1024)
    fs.chownSync(path('theirs'), STRANGER.uid, STRANGER.gid)
    fs.writeFileSync(path('roots'), '', { mode: 0o644 })
    assert.equal(setxattr(path('theirs'), 'trusted.guestmemfs.vm', bytes('{"name":"one"}')), undefined)
    const { stdout, stderr } = await nodeAsStranger([OWNER, 'theirs', 'roots'], { cwd: path() })
    assert.equal(stderr, '')
    assert.deepEqual(JSON.parse(stdout), {
      'user on their own': 'ok',
      "user on root's": 'EACCES',
      'trusted on their own': 'EPERM',
      'record a VM': 'EPERM',
      'remove the record': 'EPERM',
      'read the record': 'ENODATA',
      freeze: 'EPERM',
      'read how to map it': 'ok',
      'read the pool': 'ok',
    })
    assert.equal(text(path('theirs'), 'trusted.guestmemfs.vm'), '{"name":"one"}')
    assert.equal(text(pool.mountPoint, 'trusted.guestmemfs.frozen'), '0')
  })
})
