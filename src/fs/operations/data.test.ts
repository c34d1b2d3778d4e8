import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BLOCK_BYTES } from '../../stores/store.ts'
import {
  EFBIG,
  EINVAL,
  EISDIR,
  ENODATA,
  ENOMEM,
  ENOSPC,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
} from '../../values/errno.ts'
import type { ObjectId } from '../../values/ids.ts'
import { SEEK_DATA, SEEK_HOLE } from '../../values/uapi.ts'
import { blocks, checkInvariants, fixture, fixtureOver, n, nameAt, ok, ROOT } from '../testing/fixture.ts'

test('an ordinary file holds what was written, zeroes between, and nothing beyond', () => {
  const step = fc.record({
    kind: fc.constantFrom('write', 'truncate', 'punch'),
    offset: fc.nat(3000),
    length: fc.integer({ min: 1, max: 600 }),
    byte: fc.integer({ min: 1, max: 255 }),
  })
  fc.assert(
    fc.property(fc.array(step), fc.constantFrom('kernel' as const, 'ours' as const), (steps, clearing) => {
      const { fs, journal, store, rq, file, stat } = fixture({ clearing })
      const ino = file('f')
      let model = Buffer.alloc(0)
      const grow = (size: number) => {
        if (size > model.length) model = Buffer.concat([model, Buffer.alloc(size - model.length)])
      }
      for (const { kind, offset, length, byte } of steps) {
        if (kind === 'write') {
          assert.equal(fs.write(rq(), ino, offset, Buffer.alloc(length, byte)), length)
          grow(offset + length)
          model.fill(byte, offset, offset + length)
        } else if (kind === 'truncate') {
          ok(fs.setAttributes(rq(), ino, { sizeBytes: offset }))
          grow(offset)
          model = model.subarray(0, offset)
        } else {
          assert.equal(fs.fallocate(rq(), ino, 3, offset, length), undefined)
          model.fill(0, Math.min(offset, model.length), Math.min(offset + length, model.length))
        }
        for (let dirty = fs.dirtyExtent(16); dirty; dirty = fs.dirtyExtent(16)) {
          store.zero(dirty)
          fs.markClean(rq(), dirty)
        }
      }
      assert.equal(stat(ino).sizeBytes, model.length)
      const bytes = Buffer.alloc(model.length + 10, 0xee)
      assert.equal(fs.read(ino, 0, bytes), model.length)
      assert.deepEqual(bytes.subarray(0, model.length), model)
      checkInvariants(fs, journal)
    }),
  )
})

test('guest RAM is not read or written', () => {
  const { fs, rq, file } = fixture()
  const ino = file('ram', blocks(1))
  assert.equal(fs.read(ino, 0, Buffer.alloc(4)), EOPNOTSUPP)
  assert.equal(fs.write(rq(), ino, 0, Buffer.alloc(4)), EOPNOTSUPP)
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 0 }))
  assert.equal(fs.write(rq(), ino, 0, Buffer.alloc(4)), 4)
})

test('a large write does not make guest RAM', () => {
  const { fs, rq, file, stat } = fixture()
  const ino = file('state')
  assert.equal(fs.write(rq(), ino, 0, Buffer.alloc(BLOCK_BYTES + 1, 1)), BLOCK_BYTES + 1)
  assert.equal(stat(ino).guestRam, false)
  assert.equal(fs.statfs().freeBlocks, 14)
})

test('offsets and inodes that cannot be', () => {
  const { fs, rq, file } = fixture()
  const ino = file('f')
  const link = ok(fs.symlink(rq(), nameAt(ROOT, 's'), n('t'))).ino
  assert.equal(fs.write(rq(), ino, -1, Buffer.alloc(1)), EINVAL)
  assert.equal(fs.read(ino, -1, Buffer.alloc(1)), EINVAL)
  assert.equal(fs.read(ino, 10, Buffer.alloc(1)), 0)
  assert.equal(fs.write(rq(), ino, 99, Buffer.alloc(0)), 0)
  assert.equal(fs.read(ROOT, 0, Buffer.alloc(1)), EISDIR)
  assert.equal(fs.write(rq(), link, 0, Buffer.alloc(1)), EINVAL)
})

test('a write that finds no blocks, no memory, or a store that takes only part leaves the file as it was', () => {
  for (const clearing of ['kernel', 'ours'] as const) {
    const { fs, store, journal, rq, file, stat } = fixture({ clearing, totalBlocks: 2 })
    const ino = file('f')
    ok(fs.write(rq(), ino, 0, Buffer.from('kept')))
    const before = stat(ino)
    assert.equal(fs.write(rq(), ino, blocks(2), Buffer.from('x')), ENOSPC)
    store.failures.resize.push(ENOMEM)
    assert.equal(fs.write(rq(), ino, 10, Buffer.from('x')), ENOMEM)
    const whole = store.write.bind(store)
    store.write = (object: ObjectId, offset: number, from: Uint8Array) =>
      whole(object, offset, from.subarray(0, offset === 10 ? 1 : 0))
    assert.equal(fs.write(rq(), ino, 10, Buffer.from('xyz')), ENOSPC)
    assert.equal(stat(ino), before)
    checkInvariants(fs, journal)
    ok(fs.setAttributes(rq(), ino, { sizeBytes: 20 }))
    const bytes = Buffer.alloc(20)
    fs.read(ino, 0, bytes)
    assert.deepEqual(bytes, Buffer.from('kept'.padEnd(20, '\0')))
  }
})

test('where the server clears blocks, no read shows bytes of a write that never got its record', () => {
  const { fs, store, journal, rq, file } = fixture({ clearing: 'ours', totalBlocks: 2 })
  const ino = file('f')
  const records = journal.records.length
  ok(fs.write(rq(), ino, 0, Buffer.from('secret')))
  // The server died after the bytes and before the record that owns their block: only the claim was logged.
  assert.equal(journal.records.length, records + 2)
  const next = fixtureOver(journal.replay(records + 1), store)
  next.fs.recover(next.rq())
  assert.equal(next.stat(ino).sizeBytes, 0)
  checkInvariants(next.fs, next.journal)
  assert.deepEqual(next.fs.dirtyExtent(2), { start: 0, count: 1 })
  const other = next.file('other', 10)
  const bytes = Buffer.alloc(10)
  next.fs.read(other, 0, bytes)
  assert.deepEqual(bytes, Buffer.alloc(10))
})

test('a write whose second record does not fit leaves its claim, which only has to be zeroed', () => {
  const { fs, journal, rq, file, stat } = fixture({ clearing: 'ours', totalBlocks: 2 })
  const ino = file('f')
  const before = stat(ino)
  journal.limit = journal.records.length + 1
  assert.equal(fs.write(rq(), ino, 0, Buffer.from('x')), ENOSPC)
  assert.equal(stat(ino), before)
  assert.deepEqual(fs.dirtyExtent(2), { start: 0, count: 1 })
  checkInvariants(fs, journal)
})

test('the claim of a write is never taken for the request itself', () => {
  const { fs, journal, rq, file } = fixture({ clearing: 'ours' })
  const ino = file('f')
  const request = rq()
  ok(fs.write(request, ino, 0, Buffer.from('x')))
  assert.deepEqual(
    journal.records.slice(-2).map(({ origin }) => origin.unique),
    [0n, request.origin.unique],
  )
})

test('seek ends where the file ends; guest RAM is all data', () => {
  const { fs, store, rq, file, stat } = fixture()
  const ino = file('f', 100)
  assert.equal(fs.seek(ino, 10, SEEK_DATA), 10)
  assert.equal(fs.seek(ino, 10, SEEK_HOLE), 100)
  assert.equal(fs.seek(ino, 100, SEEK_DATA), ENXIO)
  assert.equal(fs.seek(ino, 0, 0), EINVAL)
  // The memory is larger than its inode says for a while.
  store.resize(stat(ino).object!, { sizeBytes: 500, extents: stat(ino).extents, guestRam: false })
  assert.equal(fs.seek(ino, 10, SEEK_HOLE), 100)
  const ram = file('ram', blocks(1))
  assert.equal(fs.seek(ram, 5, SEEK_DATA), 5)
  assert.equal(fs.seek(ram, 5, SEEK_HOLE), blocks(1))
  assert.equal(fs.seek(ROOT, 0, SEEK_DATA), EISDIR)
  assert.equal(fs.write(rq(), ram, 0, Buffer.alloc(1)), EOPNOTSUPP)
})

test('a write of a caller that may not keep set-id bits and capabilities clears them', () => {
  const { fs, rq, file, stat } = fixture()
  const capabilities = n('security.capability')
  const written = (mode: number, offset: number, killsSetId: boolean): string => {
    const ino = file(`${mode} ${offset} ${killsSetId}`, 10)
    ok(fs.setAttributes(rq(), ino, { mode }))
    assert.equal(fs.setXattr(rq(), ino, capabilities, Uint8Array.of(1), 0), undefined)
    assert.equal(fs.write(rq(), ino, offset, Buffer.alloc(4), { killsSetId }), 4)
    assert.equal(fs.getXattr(ino, capabilities), ENODATA)
    return stat(ino).mode.toString(8)
  }
  // Inside the file and beyond its end.
  for (const offset of [0, 8]) {
    assert.equal(written(0o6775, offset, true), '775')
    // Without a group that may execute it the bit is a mark for mandatory locks, and no privilege.
    assert.equal(written(0o6765, offset, true), '2765')
    assert.equal(written(0o6775, offset, false), '6775')
  }
})

test('a write that the memory cuts short is not taken for carried out', () => {
  const { fs, rq, store, journal, file } = fixture()
  const ino = file('f', 100)
  const before = journal.lastOrigin
  store.write = (_memory, _offset, from) => from.length - 3
  assert.equal(fs.write(rq(), ino, 0, Buffer.alloc(10)), 7)
  assert.deepEqual(journal.lastOrigin, before)
})

test('a write beyond the end that is cut short answers why, and the file stays as it was', () => {
  const { fs, rq, store, file, stat } = fixture()
  const ino = file('f', 100)
  const write = store.write.bind(store)
  // What a limit on the size of files does: up to it, and then nothing more.
  store.write = (object, offset, from) => {
    const room = Math.max(0, 110 - offset)
    return room === 0 ? EFBIG : write(object, offset, from.subarray(0, room))
  }
  assert.equal(fs.write(rq(), ino, 90, Buffer.alloc(40, 1)), EFBIG)
  assert.equal(stat(ino).sizeBytes, 100)
  store.write = write
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 200 }))
  const bytes = Buffer.alloc(100, 7)
  assert.equal(fs.read(ino, 100, bytes), 100)
  assert.ok(
    bytes.every((byte) => byte === 0),
    'nothing of it shows later',
  )
})

test('a shrink that the kernel refuses is repeated before the file grows, and no byte shows in between', () => {
  const { fs, rq, store, file } = fixture()
  const ino = file('f')
  assert.equal(fs.write(rq(), ino, 0, Buffer.alloc(200, 1)), 200)
  store.failures.resize.push(EPERM, EPERM)
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 100 }))
  assert.equal(fs.oversizedCount, 1)
  const bytes = Buffer.alloc(200)
  assert.equal(fs.read(ino, 0, bytes), 100)
  // It is cut back before it grows, or does not grow.
  assert.equal(fs.setAttributes(rq(), ino, { sizeBytes: 200 }), EPERM)
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 200 }))
  assert.equal(fs.read(ino, 0, bytes), 200)
  assert.ok(bytes.subarray(100).every((byte) => byte === 0))
  fs.retryShrinks()
  assert.equal(fs.oversizedCount, 0)
})
