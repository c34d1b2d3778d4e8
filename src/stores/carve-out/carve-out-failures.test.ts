import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EHWPOISON, EIO, ENOENT } from '../../values/errno.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS } from '../store.ts'
import { blocksOf } from './carve-out-failures.ts'
import { CarveOutFixture } from './testing/carve-out-fixture.ts'

const PAGE = 4096

test('pages of the kernel’s log are blocks, or pages of the image, or not of this pool', () => {
  const fixture = new CarveOutFixture()
  const { range, totalBlocks, metadata } = fixture.region.layout
  const failures = fixture.store.memoryFailures
  assert.deepEqual(failures.logged(), { blocks: [], image: [], gaps: 0, isMore: false })
  fixture.failedPages.push(
    range.start - PAGE,
    range.start + 5 * BLOCK_BYTES + PAGE,
    range.start,
    range.start + 6 * BLOCK_BYTES - PAGE,
    range.start + totalBlocks * BLOCK_BYTES - PAGE,
    metadata.start + metadata.lengthBytes - PAGE,
    metadata.start,
    metadata.start,
    metadata.start + metadata.lengthBytes,
  )
  assert.deepEqual(failures.logged(), {
    blocks: [0, 5, totalBlocks - 1],
    image: [metadata.start + metadata.lengthBytes - PAGE, metadata.start],
    gaps: 0,
    isMore: false,
  })
  assert.deepEqual(failures.logged().blocks, [])
})

test('a range is every block that it has a byte of', () => {
  const layout = { range: { start: 2 ** 32, lengthBytes: 8 * BLOCK_BYTES }, totalBlocks: 8 }
  const blocks = (start: number, lengthBytes: number) =>
    blocksOf(layout, [{ start: layout.range.start + start, lengthBytes }])
  assert.deepEqual(blocks(0, 1), [0])
  assert.deepEqual(blocks(BLOCK_BYTES - 1, 2), [0, 1])
  assert.deepEqual(blocks(BLOCK_BYTES, BLOCK_BYTES), [1])
  assert.deepEqual(blocks(-10 * BLOCK_BYTES, 11 * BLOCK_BYTES + 1), [0, 1])
  assert.deepEqual(blocks(7 * BLOCK_BYTES, 100 * BLOCK_BYTES), [7])
  assert.deepEqual(blocks(-BLOCK_BYTES, BLOCK_BYTES), [])
  assert.deepEqual(blocks(8 * BLOCK_BYTES, BLOCK_BYTES), [])
})

test('a log that cannot be read is said, and nothing else fails', () => {
  const fixture = new CarveOutFixture()
  fixture.log = ENOENT
  fixture.restart()
  const failures = fixture.store.memoryFailures
  assert.deepEqual([failures.fd, failures.unreadable], [undefined, ENOENT])
  assert.deepEqual(failures.logged(), { blocks: [], image: [], gaps: 0, isMore: false })
})

test('an access that fails names its block, and none beside it, once', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  const sizeBytes = 3 * BLOCK_BYTES
  const extents = [{ start: CHUNK_BLOCKS, count: 3 }]
  fixture.settle(() => fixture.store.resize(object, { sizeBytes, extents, guestRam: false }))
  const { data, memoryFailures: failures } = fixture.store
  const across = Buffer.alloc(20)
  assert.equal(
    fixture.settle(() => data.read(object, BLOCK_BYTES - 10, across)),
    20,
  )
  assert.deepEqual(failures.suspected(), [])
  fixture.region.lose(CHUNK_BLOCKS + 1)
  const lost = [CHUNK_BLOCKS + 1]
  assert.equal(data.read(object, BLOCK_BYTES - 10, across), EIO)
  assert.deepEqual(failures.suspected(), lost)
  assert.deepEqual(failures.suspected(), [])
  assert.equal(data.write(object, BLOCK_BYTES, across), EIO)
  assert.equal(data.punchHole(object, BLOCK_BYTES, 10), EIO)
  assert.deepEqual(failures.suspected(), [...lost, ...lost])
})

test('a block that cannot be zeroed is told apart from one that cannot be mapped', () => {
  const fixture = new CarveOutFixture()
  const { zeroer, events } = fixture.store
  const zero = (start: number) => {
    assert.equal(zeroer.start({ start, count: 1 }), true)
    fixture.worker.work()
    events.drain()
    return zeroer.refused().map(({ errno }) => errno)
  }
  fixture.region.map = () => EIO
  assert.deepEqual(zero(3), [EIO])
  Reflect.deleteProperty(fixture.region, 'map')
  assert.deepEqual(zero(3), [])
  fixture.region.lose(3)
  assert.deepEqual(zero(3), [EHWPOISON])
})
