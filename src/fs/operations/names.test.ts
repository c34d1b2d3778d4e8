import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  EEXIST,
  EINVAL,
  EISDIR,
  EMLINK,
  ENAMETOOLONG,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  ESTALE,
} from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { Inode } from '../state/inode.ts'
import { State } from '../state/state.ts'
import { checkInvariants, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'

test('a fresh file system is a root directory', () => {
  const { fs, journal, stat } = fixture()
  const { kind, mode, links, generation } = stat(ROOT)
  assert.deepEqual(
    { kind, mode, links, generation },
    { kind: 'directory', mode: 0o755, links: 2, generation: 0 },
  )
  assert.equal(fs.lookup(ROOT, n('.')), stat(ROOT))
  assert.equal(fs.lookup(ROOT, n('..')), stat(ROOT))
  assert.equal(fs.parentOf(ROOT), ROOT)
  checkInvariants(fs, journal)
})

test('create gives a file its memory, its owner and its times, and marks the directory', () => {
  const { fs, store, journal, rq, stat } = fixture()
  const request = rq({ uid: 7, gid: 8 })
  const made = ok(fs.create(request, nameAt(ROOT, 'guest-ram'), 0o100640))
  assert.equal(made, fs.lookup(ROOT, n('guest-ram')))
  assert.deepEqual(
    [made.kind, made.mode, made.uid, made.gid, made.links, made.sizeBytes, made.guestRam],
    ['file', 0o640, 7, 8, 1, 0, false],
  )
  assert.deepEqual([made.atime, made.mtime, made.ctime], [request.now, request.now, request.now])
  assert.deepEqual([stat(ROOT).mtime, stat(ROOT).ctime], [request.now, request.now])
  assert.deepEqual([...store.objects()], [made.object])
  assert.deepEqual(journal.lastOrigin, request.origin)
  checkInvariants(fs, journal)
})

test('mkdir and rmdir count links and `..` leads up', () => {
  const { fs, journal, rq, stat } = fixture()
  const a = ok(fs.mkdir(rq(), nameAt(ROOT, 'a'), 0o700)).ino
  const b = ok(fs.mkdir(rq(), nameAt(a, 'b'), 0o700)).ino
  assert.deepEqual([stat(ROOT).links, stat(a).links, stat(b).links], [3, 3, 2])
  assert.equal(fs.parentOf(b), a)
  assert.equal(fs.lookup(b, n('..')), stat(a))
  assert.equal(fs.rmdir(rq(), nameAt(ROOT, 'a')), ENOTEMPTY)
  checkInvariants(fs, journal)
  assert.equal(fs.rmdir(rq(), nameAt(a, 'b')), undefined)
  assert.equal(fs.rmdir(rq(), nameAt(ROOT, 'a')), undefined)
  assert.deepEqual([stat(ROOT).links, stat(a).links], [2, 0])
  checkInvariants(fs, journal)
})

test('a removed directory takes no names, lists nothing and has no parent', () => {
  const { fs, rq } = fixture()
  const { ino } = ok(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755))
  fs.rmdir(rq(), nameAt(ROOT, 'd'))
  assert.equal(fs.create(rq(), nameAt(ino, 'f'), 0o644), ENOENT)
  assert.equal(fs.lookup(ino, n('..')), ENOENT)
  assert.deepEqual([...ok(fs.readDirectory(ino, 0))], [])
  assert.equal(fs.evict(rq(), ino), 'gone')
  assert.equal(fs.create(rq(), nameAt(ino, 'f'), 0o644), ESTALE)
})

test('a setgid directory passes its group on, and to directories the bit as well', () => {
  const { fs, rq } = fixture()
  const made = ok(fs.mkdir(rq({ gid: 5 }), nameAt(ROOT, 'd'), 0o755))
  ok(fs.setAttributes(rq(), made.ino, { mode: 0o2775 }))
  const file = ok(fs.create(rq({ gid: 9 }), nameAt(made.ino, 'f'), 0o644))
  const directory = ok(fs.mkdir(rq({ gid: 9 }), nameAt(made.ino, 'd'), 0o755))
  assert.deepEqual([file.gid, file.mode], [5, 0o644])
  assert.deepEqual([directory.gid, directory.mode], [5, 0o2755])
})

test('hard links share an inode until the last name is gone', () => {
  const { fs, journal, rq, file, stat } = fixture()
  const ino = file('a')
  assert.equal(ok(fs.link(rq(), ino, nameAt(ROOT, 'b'))).links, 2)
  assert.equal(fs.lookup(ROOT, n('b')), stat(ino))
  assert.equal(fs.link(rq(), ino, nameAt(ROOT, 'a')), EEXIST)
  assert.equal(fs.link(rq(), ROOT, nameAt(ROOT, 'r')), EPERM)
  assert.equal(fs.unlink(rq(), nameAt(ROOT, 'a')), undefined)
  assert.equal(stat(ino).links, 1)
  checkInvariants(fs, journal)
  assert.equal(fs.unlink(rq(), nameAt(ROOT, 'b')), undefined)
  assert.equal(stat(ino).links, 0)
  assert.equal(fs.link(rq(), ino, nameAt(ROOT, 'c')), ENOENT)
  assert.deepEqual(
    fs.orphans().map((orphan) => orphan.ino),
    [ino],
  )
  checkInvariants(fs, journal)
})

test('symlinks keep any bytes of a target', () => {
  const { fs, journal, rq, file } = fixture()
  const target = '../\xff\xfe x' as ByteString
  const made = ok(fs.symlink(rq(), nameAt(ROOT, 's'), target))
  assert.deepEqual([made.kind, made.mode, made.sizeBytes], ['symlink', 0o777, target.length])
  assert.equal(fs.readlink(made.ino), target)
  assert.equal(fs.readlink(file('f')), EINVAL)
  assert.equal(fs.symlink(rq(), nameAt(ROOT, 't'), n('')), ENOENT)
  assert.equal(fs.symlink(rq(), nameAt(ROOT, 't'), 'x'.repeat(4096) as ByteString), ENAMETOOLONG)
  ok(fs.symlink(rq(), nameAt(ROOT, 't'), 'x'.repeat(4095) as ByteString))
  checkInvariants(fs, journal)
})

test('names that cannot be', () => {
  const { fs, rq, file } = fixture()
  const ino = file('f')
  const directory = ok(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755)).ino
  for (const bad of ['', '.', '..', 'a/b', 'a\0b'])
    assert.equal(fs.create(rq(), nameAt(ROOT, bad), 0o644), EINVAL, bad)
  const long = 'x'.repeat(256) as ByteString
  assert.equal(fs.create(rq(), { parent: ROOT, name: long }, 0o644), ENAMETOOLONG)
  assert.equal(fs.lookup(ROOT, long), ENAMETOOLONG)
  ok(fs.create(rq(), { parent: ROOT, name: 'x'.repeat(255) as ByteString }, 0o644))
  assert.equal(fs.create(rq(), nameAt(ROOT, 'f'), 0o644), EEXIST)
  assert.equal(fs.mkdir(rq(), nameAt(ROOT, 'f'), 0o755), EEXIST)
  assert.equal(fs.create(rq(), nameAt(ino, 'g'), 0o644), ENOTDIR)
  assert.equal(fs.lookup(ino, n('g')), ENOTDIR)
  assert.equal(fs.lookup(ROOT, n('g')), ENOENT)
  assert.equal(fs.lookup(4711 as Ino, n('g')), ESTALE)
  assert.equal(fs.unlink(rq(), nameAt(ROOT, 'd')), EISDIR)
  assert.equal(fs.rmdir(rq(), nameAt(ROOT, 'f')), ENOTDIR)
  assert.equal(fs.unlink(rq(), nameAt(ROOT, 'nothing')), ENOENT)
  assert.equal(fs.unlink(rq(), nameAt(directory, 'nothing')), ENOENT)
})

test('a link count has an end', () => {
  const { fs, journal, rq, file, stat } = fixture()
  const ino = file('f')
  const many = (inode: Inode) => journal.state.apply({ kind: 'inode', inode: { ...inode, links: 65000 } })
  many(stat(ino))
  assert.equal(fs.link(rq(), ino, nameAt(ROOT, 'g')), EMLINK)
  many(stat(ROOT))
  assert.equal(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755), EMLINK)
})

test('a number is used again with another generation', () => {
  const { fs, rq, file, stat } = fixture()
  const first = stat(file('a'))
  file('b')
  fs.unlink(rq(), nameAt(ROOT, 'a'))
  fs.evict(rq(), first.ino)
  const next = stat(file('c'))
  assert.equal(next.ino, first.ino)
  assert.notEqual(next.generation, first.generation)
})

test('where there is no memory or no room in the image, nothing is left behind', () => {
  const { fs, store, journal, rq } = fixture()
  store.failures.create.push(ENOMEM)
  const before = [...journal.state.entries()]
  assert.equal(fs.create(rq(), nameAt(ROOT, 'f'), 0o644), ENOMEM)
  journal.limit = 0
  assert.equal(fs.create(rq(), nameAt(ROOT, 'f'), 0o644), ENOSPC)
  assert.equal(fs.mkdir(rq(), nameAt(ROOT, 'f'), 0o644), ENOSPC)
  assert.deepEqual([...store.objects()], [])
  assert.deepEqual([...journal.state.entries()], before)
})

test('a listing begins with . and .., and goes on after any cookie', () => {
  const { fs, rq } = fixture()
  const d = ok(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755)).ino
  for (const name of ['one', 'two', 'three']) ok(fs.create(rq(), nameAt(d, name), 0o644))
  const all = [...ok(fs.readDirectory(d, 0))]
  assert.deepEqual(
    all.map(({ name }) => name),
    ['.', '..', 'one', 'two', 'three'],
  )
  assert.deepEqual(all.map(({ ino }) => ino).slice(0, 2), [d, ROOT])
  assert.deepEqual(
    all.map(({ kind }) => kind),
    ['directory', 'directory', 'file', 'file', 'file'],
  )
  for (const [at, { cookie }] of all.entries())
    assert.deepEqual([...ok(fs.readDirectory(d, cookie))], all.slice(at + 1))
  fs.unlink(rq(), nameAt(d, 'two'))
  assert.deepEqual([...ok(fs.readDirectory(d, all[2]!.cookie))], all.slice(4))
  assert.equal(fs.readDirectory(all[2]!.ino, 0), ENOTDIR)
})

test('State.fresh is what the log of an empty pool says', () => {
  const now = { seconds: 5, nanoseconds: 6 }
  assert.deepEqual(State.fresh(now).verify(4), [])
})
