import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENOSPC } from '../../values/errno.ts'
import { WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import { State } from '../state/state.ts'
import { blocks, checkInvariants, type Fixture, fixtureOver, ok } from '../testing/fixture.ts'
import { MemoryStore } from '../testing/memory-store.ts'
import { PlainJournal } from '../testing/plain-journal.ts'

const TOTAL_BLOCKS = 14
const FORMER = 0xee

/** A new pool on memory that holds a former owner's bytes, 14 blocks in data chunks of 4. */
function newPool(): Fixture {
  const state = State.fresh({ seconds: 0, nanoseconds: 0 }, { dirtyBlocks: TOTAL_BLOCKS })
  const options = { clearing: 'ours', totalBlocks: TOTAL_BLOCKS, chunkBlocks: 4, formerByte: FORMER } as const
  return fixtureOver(new PlainJournal(TOTAL_BLOCKS, state), new MemoryStore(options))
}

function zeroNext({ fs, store, rq }: Fixture, maxBlocks = 99): unknown {
  const extent = fs.dirtyExtent(maxBlocks)
  if (extent) {
    store.zero(extent)
    assert.equal(fs.markClean(rq(), extent), undefined)
  }
  return extent
}

test('every block of a new pool is free, and none is handed out before it was zeroed', () => {
  const fx = newPool()
  const { fs, journal, store, rq, file, stat } = fx
  assert.equal(fs.statfs().freeBlocks, TOTAL_BLOCKS)
  checkInvariants(fs, journal, 4)
  const [ram, ordinary] = [file('ram'), file('ordinary')]
  const grow = () => fs.setAttributes(rq(), ram, { sizeBytes: blocks(12) })
  const write = () => fs.write(rq(), ordinary, 5, Buffer.from('x'))
  assert.equal(grow(), WAIT_FOR_ZEROING)
  assert.equal(write(), WAIT_FOR_ZEROING)
  assert.equal(fs.setAttributes(rq(), ram, { sizeBytes: blocks(15) }), ENOSPC)
  assert.equal(store.blockBytes(0)[0], FORMER)

  assert.deepEqual(zeroNext(fx), { start: 12, count: 2 })
  assert.equal(write(), 1)
  assert.deepEqual(stat(ordinary).extents, [{ start: 12, count: 1 }])
  assert.equal(grow(), WAIT_FOR_ZEROING)
  while (zeroNext(fx, 3));
  ok(grow())
  for (let block = 0; block < 12; block++) assert.ok(store.blockBytes(block).every((byte) => byte === 0))
  const bytes = Buffer.alloc(6)
  assert.equal(fs.read(ordinary, 0, bytes), 6)
  assert.equal(bytes.toString('latin1'), '\0\0\0\0\0x')
  checkInvariants(fs, journal, 4)
})

test('the next chunk is zeroed first, then from the bottom, one zone at a time', () => {
  const fx = newPool()
  const { fs, rq, file } = fx
  assert.deepEqual(zeroNext(fx), { start: 12, count: 2 })
  assert.deepEqual(fs.dirtyExtent(5), { start: 0, count: 5 })
  assert.deepEqual(fs.dirtyExtent(99), { start: 0, count: 12 })
  // Once the chunk is taken, the one below is next.
  ok(fs.write(rq(), file('a'), 0, Buffer.from('x')))
  assert.deepEqual(zeroNext(fx), { start: 8, count: 4 })
  ok(fs.setAttributes(rq(), file('ram'), { sizeBytes: blocks(1) }))
  // Guest RAM took the lowest clean block: its chunk is no chunk any more, and the one below it is to be the
  // next.
  assert.deepEqual(zeroNext(fx, 3), { start: 4, count: 3 })
  assert.deepEqual(zeroNext(fx, 3), { start: 7, count: 1 })
  assert.deepEqual(zeroNext(fx, 3), { start: 0, count: 3 })
  assert.deepEqual(zeroNext(fx, 3), { start: 3, count: 1 })
  assert.equal(zeroNext(fx), undefined)
})

test('a frozen pool is not zeroed: it could not be logged', () => {
  const { fs, rq } = newPool()
  ok(fs.freeze(rq()))
  assert.equal(fs.dirtyExtent(9), undefined)
  ok(fs.thaw(rq()))
  assert.deepEqual(fs.dirtyExtent(9), { start: 12, count: 2 })
})
