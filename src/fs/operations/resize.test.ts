import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOCK_BYTES } from '../../stores/store.ts'
import { EBUSY, EFBIG, EINVAL, EISDIR, ENOMEM, ENOSPC, EOPNOTSUPP } from '../../values/errno.ts'
import { Refusal, WAIT_FOR_STORE, WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import { FALLOC_FL_PUNCH_HOLE, FALLOC_FL_KEEP_SIZE as KEEP_SIZE } from '../../values/uapi.ts'
import { MIB } from '../../values/units.ts'
import { blocks, checkInvariants, fixture, fixtureOver, n, nameAt, ok, ROOT } from '../testing/fixture.ts'

const PUNCH = FALLOC_FL_PUNCH_HOLE | KEEP_SIZE

test('truncate up, down, twice: blocks follow, statfs is exact', () => {
  const { fs, journal, rq, file, stat } = fixture({ totalBlocks: 300 })
  const ino = file('guest-ram')
  for (const [sizeBytes, owned] of [
    [500 * MIB, 250],
    [500 * MIB, 250],
    [500 * MIB + 1, 251],
    [3 * MIB, 2],
    [0, 0],
    [1, 1],
    [0, 0],
  ] as const) {
    assert.equal(ok(fs.setAttributes(rq(), ino, { sizeBytes })).sizeBytes, sizeBytes)
    assert.equal(fs.statfs().freeBlocks, 300 - owned)
    assert.deepEqual(journal.state.verify(300), [])
  }
  assert.deepEqual(stat(ino).extents, [])
})

test('guest RAM: what was empty and became a block or more, until it is truncated to 0', () => {
  const { fs, rq, file, stat } = fixture()
  const size = (ino: ReturnType<typeof file>, sizeBytes: number) =>
    ok(fs.setAttributes(rq(), ino, { sizeBytes })).guestRam
  const ino = file('f')
  assert.equal(size(ino, BLOCK_BYTES - 1), false)
  assert.equal(size(ino, blocks(2)), false)
  assert.equal(size(ino, 0), false)
  assert.equal(size(ino, BLOCK_BYTES), true)
  assert.equal(size(ino, 1), true)
  assert.equal(size(ino, blocks(3)), true)
  assert.equal(size(ino, 0), false)
  const other = file('g')
  assert.equal(fs.fallocate(rq(), other, 0, 0, blocks(1)), undefined)
  assert.equal(stat(other).guestRam, true)
})

test('all or nothing: what does not fit changes nothing', () => {
  const { fs, journal, rq, file, stat } = fixture({ totalBlocks: 4 })
  const ino = file('a', blocks(2))
  const before = stat(ino)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: blocks(5), mode: 0 }), ENOSPC)
  assert.equal(stat(ino), before)
  assert.equal(fs.statfs().freeBlocks, 2)
  assert.equal(ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(4) })).sizeBytes, blocks(4))
  assert.equal(fs.statfs().freeBlocks, 0)
  checkInvariants(fs, journal)
})

test('a file takes scattered blocks when there is no run that is long enough', () => {
  const { fs, journal, rq, file, stat } = fixture({ totalBlocks: 6 })
  const inos = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => file(name, blocks(1)))
  for (const at of [0, 2, 3, 5]) ok(fs.setAttributes(rq(), inos[at]!, { sizeBytes: 0 }))
  const ino = file('big', blocks(4))
  assert.deepEqual(stat(ino).extents, [
    { start: 2, count: 2 },
    { start: 0, count: 1 },
    { start: 5, count: 1 },
  ])
  checkInvariants(fs, journal)
})

test('a store without memory: ENOMEM, nothing changed, and the memory is as it was', () => {
  const { fs, journal, store, rq, file, stat } = fixture()
  const ino = file('f', 100)
  ok(fs.write(rq(), ino, 0, Buffer.from('kept')))
  const before = stat(ino)
  // It fails half way: the memory is larger already.
  const whole = store.resize.bind(store)
  store.resize = (memory, to) => {
    store.resize = whole
    return whole(memory, to) ?? ENOMEM
  }
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: blocks(2) }), ENOMEM)
  assert.equal(store.read(before.object!, 0, Buffer.alloc(200)), 100)
  assert.equal(stat(ino), before)
  checkInvariants(fs, journal)
  const bytes = Buffer.alloc(8)
  assert.equal(fs.read(ino, 0, bytes), 8)
  assert.equal(bytes.toString(), 'kept\0\0\0\0')
})

test('no room in the image: ENOSPC before the memory is touched', () => {
  const { fs, journal, store, rq, file, stat } = fixture()
  const ino = file('f', blocks(1))
  journal.limit = journal.records.length
  store.failures.resize.push(ENOMEM)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: blocks(2) }), ENOSPC)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: 0 }), ENOSPC)
  assert.equal(store.failures.resize.length, 1)
  assert.equal(stat(ino).sizeBytes, blocks(1))
})

test('a store that has to wait: nothing changed, nothing undone, and asked again it is done', () => {
  for (const clearing of ['kernel', 'ours'] as const) {
    const { fs, journal, store, rq, file, stat } = fixture({ clearing })
    const ino = file('f')
    const before = stat(ino)
    const records = journal.records.length
    const grow = () => fs.setAttributes(rq(), ino, { sizeBytes: blocks(2) })
    const write = () => fs.write(rq(), ino, 0, Buffer.from('x'))
    for (const operation of [grow, write]) {
      // The store would answer the second to an undo, which the file system must not try.
      store.failures.resize.push(WAIT_FOR_STORE, ENOMEM)
      assert.equal(operation(), WAIT_FOR_STORE)
      assert.deepEqual(store.failures.resize.splice(0), [ENOMEM])
      assert.equal(stat(ino), before)
      assert.equal(journal.records.length, records)
    }
    assert.equal(ok(grow()).sizeBytes, blocks(2))
    // The record of the shrinking is there already: the store cuts the memory when it can, at the latest
    // before the file grows again.
    store.failures.resize.push(WAIT_FOR_STORE)
    assert.equal(ok(fs.setAttributes(rq(), ino, { sizeBytes: 10 })).sizeBytes, 10)
    store.failures.resize.push(WAIT_FOR_STORE)
    assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: 20 }), WAIT_FOR_STORE)
    ok(fs.setAttributes(rq(), ino, { sizeBytes: 20 }))
    checkInvariants(fs, journal)
  }
})

test('a store that cannot shrink is asked again, once the record is made', () => {
  const { fs, store, rq, file, stat } = fixture()
  const ino = file('f', blocks(2))
  store.failures.resize.push(ENOMEM, ENOMEM)
  assert.equal(ok(fs.setAttributes(rq(), ino, { sizeBytes: 0 })).sizeBytes, 0)
  fs.retryShrinks()
  assert.equal(fs.oversizedCount, 1)
  fs.retryShrinks()
  assert.equal(fs.oversizedCount, 0)
  // The file system does not ask the store again about a file that was deleted in between.
  ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(2) }))
  store.failures.resize.push(ENOMEM)
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 0 }))
  fs.unlink(rq(), nameAt(ROOT, 'f'))
  assert.equal(fs.evict(rq(), stat(ino).ino), 'gone')
  fs.retryShrinks()
  assert.equal(fs.oversizedCount, 0)
})

test('sizes that cannot be', () => {
  const { fs, rq, file } = fixture()
  const ino = file('f')
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: -1 }), EINVAL)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: 2 ** 60 }), EFBIG)
  assert.equal(fs.setAttributes(rq(), ROOT, { sizeBytes: 1 }), EISDIR)
  const link = ok(fs.symlink(rq(), nameAt(ROOT, 's'), n('t'))).ino
  assert.equal(fs.setAttributes(rq(), link, { sizeBytes: 1 }), EINVAL)
})

test('attributes change together and the rest stays', () => {
  const { fs, rq, file, stat } = fixture()
  const ino = file('f')
  const { mtime, atime } = stat(ino)
  const request = rq()
  const changed = ok(fs.setAttributes(request, ino, { mode: 0o104755, uid: 3 }))
  assert.deepEqual([changed.mode, changed.uid, changed.gid], [0o4755, 3, 0])
  assert.deepEqual([changed.mtime, changed.atime, changed.ctime], [mtime, atime, request.now])
  const given = { seconds: -5, nanoseconds: 1 }
  const timed = ok(fs.setAttributes(rq(), ino, { mtime: given, atime: given, ctime: given }))
  assert.deepEqual([timed.mtime, timed.atime, timed.ctime], [given, given, given])
})

test('fallocate extends, keeps, punches, and refuses the rest', () => {
  const { fs, journal, rq, file, stat } = fixture()
  const ino = file('f', 1000)
  ok(fs.write(rq(), ino, 0, Buffer.alloc(1000, 'x')))
  assert.equal(fs.fallocate(rq(), ino, 0, 500, 1000), undefined)
  assert.equal(stat(ino).sizeBytes, 1500)
  const records = journal.records.length
  assert.equal(fs.fallocate(rq(), ino, 0, 0, 1500), undefined)
  assert.equal(fs.fallocate(rq(), ino, KEEP_SIZE, 0, 1500), undefined)
  assert.equal(fs.fallocate(rq(), ino, PUNCH, 1500, 1), undefined)
  assert.equal(journal.records.length, records)
  assert.equal(fs.fallocate(rq(), ino, KEEP_SIZE, 0, 1501), EOPNOTSUPP)
  assert.equal(fs.fallocate(rq(), ino, 0x10, 0, 10), EOPNOTSUPP)
  assert.equal(fs.fallocate(rq(), ino, 0, 0, 0), EINVAL)
  assert.equal(fs.fallocate(rq(), ino, 0, -1, 5), EINVAL)
  assert.equal(fs.fallocate(rq(), ino, 0, 0, blocks(17)), ENOSPC)
  assert.equal(fs.fallocate(rq(), ino, 0, 0, 2 ** 47), ENOSPC)
  assert.equal(fs.fallocate(rq(), ino, 0, 1, 2 ** 47), EFBIG)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: 2 ** 47 + 1 }), EFBIG)
  assert.equal(fs.setAttributes(rq(), file('empty'), { sizeBytes: 2 ** 47 + 1 }), EFBIG)
  assert.equal(fs.write(rq(), ino, 2 ** 47, Buffer.from('x')), EFBIG)
  assert.equal(fs.write(rq(), ino, 2 ** 60, Buffer.from('x')), EFBIG)
  assert.equal(fs.fallocate(rq(), ROOT, 0, 0, 1), EISDIR)

  assert.equal(fs.fallocate(rq(), ino, PUNCH, 10, 20), undefined)
  assert.equal(fs.fallocate(rq(), ino, PUNCH, 990, 1e9), undefined)
  assert.equal(stat(ino).sizeBytes, 1500)
  const bytes = Buffer.alloc(1000)
  fs.read(ino, 0, bytes)
  assert.equal(
    bytes.toString('latin1').replaceAll('\0', '.'),
    `${'x'.repeat(10)}${'.'.repeat(20)}${'x'.repeat(960)}${'.'.repeat(10)}`,
  )
  checkInvariants(fs, journal)
})

test('where the server clears blocks, freed ones are dirty until the worker has zeroed them', () => {
  const { fs, store, journal, rq, file, stat } = fixture({ clearing: 'ours', totalBlocks: 4 })
  const ino = file('a', blocks(3))
  ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(1) }))
  assert.equal(fs.statfs().freeBlocks, 3)
  const waiting = fs.create(rq(), nameAt(ROOT, 'b'), 0o644)
  const b = ok(waiting).ino
  assert.equal(fs.setAttributes(rq(), b, { sizeBytes: blocks(2) }), WAIT_FOR_ZEROING)
  assert.equal(fs.setAttributes(rq(), b, { sizeBytes: blocks(4) }), ENOSPC)
  checkInvariants(fs, journal)
  const extent = fs.dirtyExtent(1)
  assert.deepEqual(extent, { start: 1, count: 1 })
  store.zero(extent!)
  assert.equal(fs.markClean(rq(), extent!), undefined)
  assert.throws(() => fs.markClean(rq(), extent!))
  assert.deepEqual(fs.dirtyExtent(10), { start: 2, count: 1 })
  ok(fs.setAttributes(rq(), b, { sizeBytes: blocks(2) }))
  assert.deepEqual(stat(b).extents, [
    { start: 1, count: 1 },
    { start: 3, count: 1 },
  ])
  checkInvariants(fs, journal)
})

test('where the server clears blocks, a mapped file does not shrink', () => {
  const { fs, store, rq, file, stat } = fixture({ clearing: 'ours' })
  const ino = file('a', blocks(3))
  store.held.add(stat(ino).object!)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: blocks(1) }), EBUSY)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: blocks(4) }) instanceof Refusal, false)
  store.held.clear()
  assert.equal(ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(1) })).sizeBytes, blocks(1))
})

test('a file goes on with a block that turned bad under it', () => {
  const { fs, journal, rq, file, stat } = fixture({ clearing: 'ours', totalBlocks: 6 })
  const ino = file('a', blocks(4))
  journal.commit(rq().origin, [{ kind: 'blocks', extent: { start: 1, count: 1 }, state: 'bad' }])
  ok(fs.setAttributes(rq(), ino, { mode: 0o600 }))
  ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(5) }))
  ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(3) }))
  assert.deepEqual(stat(ino).extents, [{ start: 0, count: 3 }])
  checkInvariants(fs, journal)
})

test('a block that turned bad is never handed out again', () => {
  const { fs, journal, rq, file } = fixture({ clearing: 'ours', totalBlocks: 4 })
  const ino = file('a', blocks(4))
  journal.commit(rq().origin, [{ kind: 'blocks', extent: { start: 1, count: 1 }, state: 'bad' }])
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 0 }))
  assert.equal(fs.statfs().freeBlocks, 3)
  checkInvariants(fs, journal)
  for (let extent = fs.dirtyExtent(4); extent; extent = fs.dirtyExtent(4)) fs.markClean(rq(), extent)
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: blocks(4) }), ENOSPC)
  assert.equal(ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(3) })).extents.length, 2)
})

test('an object that grew for a record that was never made is cut back before it grows again', () => {
  for (const clearing of ['kernel', 'ours'] as const) {
    const { store, journal, file, stat } = fixture({ clearing })
    const ino = file('f', 100)
    const { object: memory, extents } = stat(ino)
    file('later, so that the last record is of another file')
    // A server dies after growing the memory and writing into it, before its record.
    store.resize(memory!, { sizeBytes: 200, extents, guestRam: false })
    store.write(memory!, 150, Buffer.from('ghost'))
    const next = fixtureOver(journal.replay(), store)
    next.fs.recover(next.rq())
    ok(next.fs.setAttributes(next.rq(), ino, { sizeBytes: 200 }))
    const bytes = Buffer.alloc(200)
    assert.equal(next.fs.read(ino, 0, bytes), 200)
    assert.deepEqual(bytes, Buffer.alloc(200))
  }
})
