/** A balloon's holes: page after page, in one tick of the clock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EIO, ENOSPC } from '../../values/errno.ts'
import { objectOf } from '../state/inode.ts'
import { blocks, checkInvariants, fixture, fixtureOver, ok } from '../testing/fixture.ts'

const PUNCH_AND_KEEP_SIZE = 3
const PAGE = 4096
const TICK = { seconds: 5000, nanoseconds: 1_000_000 }
const NEXT_TICK = { seconds: 5000, nanoseconds: 2_000_000 }

/** Guest RAM of two blocks, the first page of each not zero. */
function ballooned() {
  const all = fixture()
  const ino = all.file('ram', blocks(2))
  const data = Buffer.alloc(PAGE, 'x')
  for (const block of [0, 1]) ok(all.store.write(objectOf(all.stat(ino)), blocks(block), data))
  const hole = (offset: number, now = TICK) =>
    all.fs.fallocate(all.rq({ now }), ino, PUNCH_AND_KEEP_SIZE, offset, PAGE)
  const first = (block: number): number => {
    const byte = Buffer.alloc(1)
    ok(all.store.read(objectOf(all.stat(ino)), blocks(block), byte))
    return byte[0] as number
  }
  return { ...all, ino, hole, first }
}

test('holes of one tick have one record, and each is there', () => {
  const { fs, journal, stat, ino, hole, first } = ballooned()
  const before = journal.records.length
  for (let page = 0; page < 100; page++) assert.equal(hole(page * PAGE), undefined)
  assert.equal(hole(blocks(1)), undefined)
  assert.equal(journal.records.length, before + 1)
  assert.deepEqual([first(0), first(1)], [0, 0])
  assert.deepEqual([stat(ino).mtime, stat(ino).ctime], [TICK, TICK])

  assert.equal(hole(0, NEXT_TICK), undefined)
  assert.equal(journal.records.length, before + 2)
  assert.deepEqual([stat(ino).mtime, stat(ino).ctime], [NEXT_TICK, NEXT_TICK])
  checkInvariants(fs, journal)
})

test('a hole after another change of the same tick is logged where the times differ', () => {
  const { fs, journal, rq, stat, ino, hole } = ballooned()
  assert.equal(hole(0), undefined)
  const back = { seconds: 1, nanoseconds: 0 }
  ok(fs.setAttributes(rq({ now: TICK }), ino, { mtime: back }))
  const before = journal.records.length
  assert.equal(hole(PAGE), undefined)
  assert.equal(journal.records.length, before + 1)
  assert.deepEqual(stat(ino).mtime, TICK)
})

test('a hole that needs no record is refused by what refuses any other, and needs no room', () => {
  const { fs, journal, rq, store, hole, first } = ballooned()
  assert.equal(hole(0), undefined)
  store.failures.punchHole.push(EIO)
  assert.equal(hole(blocks(1)), EIO)
  assert.notEqual(first(1), 0)
  journal.limit = journal.records.length
  assert.equal(hole(blocks(1), NEXT_TICK), ENOSPC)
  assert.equal(hole(blocks(1)), undefined)
  assert.equal(first(1), 0)
  journal.limit = Number.POSITIVE_INFINITY
  assert.equal(fs.freeze(rq()), undefined)
  assert.notEqual(hole(0), undefined)
})

test('a successor finds the holes, and the times of the last record', () => {
  const { journal, store, ino, hole } = ballooned()
  for (const block of [0, 1]) assert.equal(hole(blocks(block)), undefined)
  const next = fixtureOver(journal.replay(), store)
  next.fs.recover(next.rq())
  assert.deepEqual([next.stat(ino).mtime, next.stat(ino).ctime], [TICK, TICK])
  const bytes = Buffer.alloc(PAGE, 'x')
  ok(store.read(objectOf(next.stat(ino)), blocks(1), bytes))
  assert.ok(bytes.every((byte) => byte === 0))
  checkInvariants(next.fs, next.journal)
})
