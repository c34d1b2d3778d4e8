import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import { checkInvariants, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from './rename.ts'

/** a/ (with a/x, a file, and a/sub/), b/ (empty), f (a file). */
function tree() {
  const made = fixture()
  const { fs, rq, journal } = made
  const a = ok(fs.mkdir(rq(), nameAt(ROOT, 'a'), 0o755)).ino
  const b = ok(fs.mkdir(rq(), nameAt(ROOT, 'b'), 0o755)).ino
  const sub = ok(fs.mkdir(rq(), nameAt(a, 'sub'), 0o755)).ino
  const x = ok(fs.create(rq(), nameAt(a, 'x'), 0o644)).ino
  const f = ok(fs.create(rq(), nameAt(ROOT, 'f'), 0o644)).ino
  const rename = (parent: Ino, name: string, newParent: Ino, newName: string, flags = 0) => {
    const result = fs.rename(rq(), nameAt(parent, name), nameAt(newParent, newName), flags)
    checkInvariants(fs, journal)
    return result
  }
  const find = (parent: Ino, name: string) => ok(fs.lookup(parent, n(name))).ino
  return { ...made, a, b, sub, x, f, rename, find }
}

test('a file moves and replaces a file', () => {
  const { fs, rename, find, stat, ...t } = tree()
  assert.equal(rename(t.a, 'x', ROOT, 'y'), undefined)
  assert.equal(find(ROOT, 'y'), t.x)
  assert.equal(fs.lookup(t.a, n('x')), ENOENT)
  assert.equal(rename(ROOT, 'y', ROOT, 'f'), undefined)
  assert.equal(find(ROOT, 'f'), t.x)
  assert.equal(stat(t.f).links, 0)
})

test('a directory moves with its `..`, and replaces an empty one', () => {
  const { fs, rename, find, stat, ...t } = tree()
  assert.equal(rename(t.a, 'sub', t.b, 'sub2'), undefined)
  assert.deepEqual([stat(t.a).links, stat(t.b).links, fs.parentOf(t.sub)], [2, 3, t.b])
  assert.equal(rename(ROOT, 'a', t.b, 'sub2'), undefined)
  assert.deepEqual([stat(ROOT).links, stat(t.b).links, stat(t.sub).links], [3, 3, 0])
  assert.equal(find(t.b, 'sub2'), t.a)
})

test('an empty directory is replaced in the same directory', () => {
  const { rename, stat, ...t } = tree()
  assert.equal(rename(ROOT, 'a', ROOT, 'b'), undefined)
  assert.deepEqual([stat(ROOT).links, stat(t.b).links], [3, 0])
})

test('what cannot replace what', () => {
  const { rename, ...t } = tree()
  assert.equal(rename(ROOT, 'f', ROOT, 'b'), EISDIR)
  assert.equal(rename(ROOT, 'b', ROOT, 'f'), ENOTDIR)
  assert.equal(rename(ROOT, 'b', ROOT, 'a'), ENOTEMPTY)
  assert.equal(rename(ROOT, 'nothing', ROOT, 'z'), ENOENT)
  assert.equal(rename(t.f, 'x', ROOT, 'z'), ENOTDIR)
})

test('a directory cannot go into itself, nor replace what it lies in', () => {
  const { rename, ...t } = tree()
  assert.equal(rename(ROOT, 'a', t.a, 'z'), EINVAL)
  assert.equal(rename(ROOT, 'a', t.sub, 'z'), EINVAL)
  assert.equal(rename(t.a, 'sub', ROOT, 'a'), ENOTEMPTY)
  assert.equal(rename(ROOT, 'a', t.sub, 'z', RENAME_EXCHANGE), EINVAL)
  assert.equal(rename(t.a, 'sub', ROOT, 'a', RENAME_EXCHANGE), EINVAL)
})

test('two names of one file, or a name onto itself: nothing happens', () => {
  const { fs, rq, rename, stat, journal, ...t } = tree()
  ok(fs.link(rq(), t.f, nameAt(ROOT, 'g')))
  const records = journal.records.length
  assert.equal(rename(ROOT, 'f', ROOT, 'g'), undefined)
  assert.equal(rename(ROOT, 'f', ROOT, 'f'), undefined)
  assert.equal(rename(ROOT, 'a', ROOT, 'a', RENAME_EXCHANGE), undefined)
  assert.deepEqual([journal.records.length, stat(t.f).links], [records, 2])
})

test('RENAME_NOREPLACE replaces nothing', () => {
  const { rename, find, ...t } = tree()
  assert.equal(rename(t.a, 'x', ROOT, 'f', RENAME_NOREPLACE), EEXIST)
  assert.equal(rename(t.a, 'x', ROOT, 'new', RENAME_NOREPLACE), undefined)
  assert.equal(find(ROOT, 'new'), t.x)
})

test('RENAME_EXCHANGE swaps whatever the two are', () => {
  const { rename, find, stat, fs, ...t } = tree()
  assert.equal(rename(t.a, 'sub', ROOT, 'f', RENAME_EXCHANGE), undefined)
  assert.deepEqual([find(t.a, 'sub'), find(ROOT, 'f')], [t.f, t.sub])
  assert.deepEqual([stat(ROOT).links, stat(t.a).links, fs.parentOf(t.sub)], [5, 2, ROOT])
  assert.equal(rename(t.a, 'x', t.a, 'sub', RENAME_EXCHANGE), undefined)
  assert.deepEqual([find(t.a, 'x'), find(t.a, 'sub')], [t.f, t.x])
  assert.equal(rename(t.a, 'x', t.a, 'nothing', RENAME_EXCHANGE), ENOENT)
})

test('flags that cannot be', () => {
  const { rename } = tree()
  for (const flags of [RENAME_NOREPLACE | RENAME_EXCHANGE, RENAME_WHITEOUT | RENAME_EXCHANGE, 7, 8])
    assert.equal(rename(ROOT, 'f', ROOT, 'g', flags), EINVAL)
})

test('times: the directories changed, what moved has a new ctime', () => {
  const { fs, rq, stat, ...t } = tree()
  const before = stat(t.x)
  const request = rq()
  assert.equal(fs.rename(request, nameAt(t.a, 'x'), nameAt(t.b, 'x'), 0), undefined)
  for (const ino of [t.a, t.b])
    assert.deepEqual([stat(ino).mtime, stat(ino).ctime], [request.now, request.now])
  assert.deepEqual([stat(t.x).mtime, stat(t.x).ctime], [before.mtime, request.now])
})

test('a whiteout is left behind: a character device 0:0 of the caller, in the same record', () => {
  const { fs, rename, find, stat, journal, ...t } = tree()
  const records = journal.records.length
  assert.equal(rename(t.a, 'x', ROOT, 'f', RENAME_WHITEOUT), undefined)
  assert.equal(journal.records.length, records + 1)
  assert.deepEqual([find(ROOT, 'f'), stat(t.f).links], [t.x, 0])
  const { kind, rdev, mode, links } = stat(find(t.a, 'x'))
  assert.deepEqual([kind, rdev, mode, links], ['character-device', 0, 0, 1])
  assert.equal(rename(ROOT, 'b', t.a, 'b', RENAME_WHITEOUT | RENAME_NOREPLACE), undefined)
  assert.equal(stat(find(ROOT, 'b')).kind, 'character-device')
  assert.deepEqual([stat(ROOT).links, stat(t.a).links], [3, 4])
  assert.equal(rename(ROOT, 'f', t.a, 'x', RENAME_WHITEOUT | RENAME_NOREPLACE), EEXIST)
  assert.equal(rename(ROOT, 'f', t.a, 'x', RENAME_WHITEOUT | RENAME_EXCHANGE), EINVAL)
  journal.version = 1
  assert.equal(rename(ROOT, 'f', ROOT, 'g', RENAME_WHITEOUT), EINVAL)
})
