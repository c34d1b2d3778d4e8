/** Fifos, sockets and device nodes: kept like other names; and refused where the image is of version 1. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EBUSY, EEXIST, EINVAL, EISDIR, EPERM, Errno } from '../../values/errno.ts'
import { byteString, ROOT_INO } from '../../values/ids.ts'
import { State } from '../state/state.ts'
import { checkInvariants, fixture, fixtureOver, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { MemoryStore } from '../testing/memory-store.ts'
import { PlainJournal } from '../testing/plain-journal.ts'

const FORMAT = n('guestmemfs.format')
const two = Buffer.from('2\n')

function former() {
  const journal = new PlainJournal(16)
  journal.version = 1
  return fixtureOver(journal, new MemoryStore({ clearing: 'kernel', totalBlocks: 16 }))
}

test('each kind is made, kept and removed like any name, without memory or blocks', () => {
  const { fs, journal, rq } = fixture()
  const kinds = ['fifo', 'socket', 'character-device', 'block-device'] as const
  for (const kind of kinds) {
    const made = ok(fs.mknod(rq({ uid: 7, gid: 8 }), nameAt(ROOT, kind), kind, 0o7640, 0x12345))
    const rdev = kind.endsWith('-device') ? 0x12345 : 0
    assert.deepEqual(
      [made.kind, made.rdev, made.mode, made.uid, made.gid, made.links, made.sizeBytes, made.object],
      [kind, rdev, 0o7640, 7, 8, 1, 0, undefined],
    )
    assert.equal(fs.mknod(rq(), nameAt(ROOT, kind), kind, 0, 0), EEXIST)
    ok(fs.link(rq(), made.ino, nameAt(ROOT, `${kind} again`)))
    ok(fs.setAttributes(rq(), made.ino, { mode: 0o600, uid: 9 }))
    assert.equal(fs.setXattr(rq(), made.ino, n('trusted.x'), Buffer.from('1'), 0), undefined)
    assert.equal(fs.setAttributes(rq(), made.ino, { sizeBytes: 5 }), EINVAL)
    assert.equal(fs.fallocate(rq(), made.ino, 0, 0, 5), EINVAL)
    assert.equal(fs.write(rq(), made.ino, 0, Buffer.from('x')), EINVAL)
    assert.equal(fs.read(made.ino, 0, Buffer.alloc(4)), EINVAL)
    assert.equal(fs.readlink(made.ino), EINVAL)
    assert.equal(fs.rename(rq(), nameAt(ROOT, kind), nameAt(ROOT, `${kind} again`), 2), undefined)
    const again = ok(fs.lookup(ROOT, n(`${kind} again`)))
    assert.deepEqual([again.rdev, again.mode, again.uid, again.links], [rdev, 0o600, 9, 2])
  }
  assert.equal(fs.statfs().freeBlocks, 16)
  checkInvariants(fs, journal)
  const recovered = fixtureOver(journal.replay(), new MemoryStore({ clearing: 'kernel', totalBlocks: 16 }))
  recovered.fs.recover(rq())
  assert.equal(ok(recovered.fs.lookup(ROOT, n('block-device'))).rdev, 0x12345)
  for (const kind of kinds) {
    const { ino } = ok(fs.lookup(ROOT, n(kind)))
    assert.equal(fs.rename(rq(), nameAt(ROOT, kind), nameAt(ROOT, `${kind} again`), 0), undefined)
    for (const name of [kind, `${kind} again`]) assert.equal(fs.unlink(rq(), nameAt(ROOT, name)), undefined)
    assert.equal(fs.evict(rq(), ino), 'gone')
  }
  assert.deepEqual([...journal.state.inodes.keys()], [ROOT_INO])
  checkInvariants(fs, journal)
})

test('version 1 refuses what it cannot hold, and the pool reports it', () => {
  const { fs, journal, rq } = former()
  const json = (name: string) => JSON.parse(Buffer.from(ok(fs.getXattr(ROOT, n(name)))).toString())
  assert.equal('refusedByFormat' in json('guestmemfs.health'), false)
  for (const kind of ['fifo', 'block-device'] as const)
    assert.equal(fs.mknod(rq(), nameAt(ROOT, 'node'), kind, 0o600, 1), EPERM)
  assert.deepEqual(journal.records, [])
  assert.equal(json('guestmemfs.health').refusedByFormat, 2)
  assert.deepEqual(json('guestmemfs.format'), { version: 1, newest: 2 })
})

test('only root upgrades the format through an xattr', () => {
  const { fs, journal, rq, file } = former()
  const set = (value: Uint8Array | string, fields = {}, ino = ROOT) =>
    fs.setXattr(rq(fields), ino, FORMAT, Buffer.from(value), 0)
  assert.equal(set(two, { uid: 1000 }), EPERM)
  assert.equal(set('2', {}, file('file')), EINVAL)
  for (const unknown of ['', '0', '3', '02', '-2', 'two', '2 2']) assert.equal(set(unknown), EINVAL, unknown)
  assert.equal(set('1'), undefined, 'it is 1 already')
  assert.equal(fs.freeze(rq()), undefined)
  assert.equal(set(two), EBUSY)
  assert.equal(journal.version, 1)
  assert.equal(fs.thaw(rq()), undefined)
  assert.equal(set(two), undefined)
  assert.equal(journal.version, 2)
  assert.equal(set('2'), undefined)
  assert.equal(set('1'), EINVAL, 'a downgrade is refused')
  assert.equal(fs.freeze(rq()), undefined)
  assert.equal(set('2'), undefined, 'nothing is left to do')
  assert.equal(fs.thaw(rq()), undefined)
  const format = Buffer.from(ok(fs.getXattr(ROOT, FORMAT))).toString()
  assert.equal(format, '{"version":2,"newest":2}')
  assert.ok(!(fs.mknod(rq(), nameAt(ROOT, 'fifo'), 'fifo', 0o600, 0) instanceof Errno))
  assert.equal(fs.removeXattr(rq(), ROOT, FORMAT), EPERM)
  assert.deepEqual(ok(fs.listXattrs(ROOT)), [])
})

test('a directory is not mistaken for a special file, nor one of these for a directory', () => {
  const { fs, rq } = fixture()
  ok(fs.mknod(rq(), nameAt(ROOT, 'fifo'), 'fifo', 0o600, 0))
  ok(fs.mkdir(rq(), nameAt(ROOT, 'folder'), 0o700))
  const rename = (from: string, to: string) => fs.rename(rq(), nameAt(ROOT, from), nameAt(ROOT, to), 0)
  assert.equal(rename('fifo', 'folder'), EISDIR)
  assert.ok(rename('folder', 'fifo') instanceof Errno)
  assert.equal(fs.unlink(rq(), nameAt(ROOT, 'folder')), EISDIR)
  const kinds = [...ok(fs.readDirectory(ROOT, 0))].map(({ name, kind }) => `${byteString(name)} ${kind}`)
  assert.ok(kinds.includes('fifo fifo') && kinds.includes('folder directory'), kinds.join())
})

test('a device number where none belongs is found', () => {
  const { fs, journal, rq } = fixture()
  const fifo = ok(fs.mknod(rq(), nameAt(ROOT, 'fifo'), 'fifo', 0o600, 0))
  const state = new State()
  for (const entry of journal.state.entries()) state.apply(entry)
  state.apply({ kind: 'inode', inode: { ...fifo, rdev: 5, sizeBytes: 1 } })
  assert.deepEqual(state.verify(16), [`fifo ${fifo.ino} has size 1`, `fifo ${fifo.ino} has device number 5`])
})
