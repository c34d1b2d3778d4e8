import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyOverlap } from '../../linux/memory-ranges.ts'
import { UsageError } from '../../values/errors.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS } from '../store.ts'
import { chunkExtent, chunkOf, chunksOf, isDataChunk, layOut, nodesIn, placeOf, rangesOf } from './layout.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30
const START = 4 * GIB

const layoutOf = (lengthBytes: number) => layOut({ start: START, lengthBytes }, 'dax0.0')

test('a region is blocks from its first byte on, and metadata at its end', () => {
  for (const [lengthBytes, metadataBytes] of [
    [64 * MIB, 8 * MIB],
    [512 * MIB, 8 * MIB],
    [GIB, 16 * MIB],
    [GIB + 300 * MIB, 20 * MIB],
    [32 * GIB, 512 * MIB],
    [1024 * GIB, 512 * MIB],
  ] as const) {
    const { range, totalBlocks, metadata } = layoutOf(lengthBytes)
    assert.deepEqual(range, { start: START, lengthBytes })
    assert.deepEqual(metadata, { start: START + lengthBytes - metadataBytes, lengthBytes: metadataBytes })
    assert.equal(totalBlocks * BLOCK_BYTES, lengthBytes - metadataBytes)
  }
})

test('a region too small or not aligned is refused in one line', () => {
  assert.throws(() => layoutOf(62 * MIB), new UsageError('region dax0.0 has 62M: a pool needs 64M'))
  assert.throws(
    () => layOut({ start: START + MIB, lengthBytes: GIB }, 'dax0.0'),
    new UsageError('region dax0.0 begins at 0x100100000: it must begin at a multiple of 2M'),
  )
})

test('a region is of the memory nodes that its bytes are of', () => {
  const layout = layoutOf(GIB)
  const ranges = (start: number, lengthBytes: number) => [{ start, lengthBytes }]
  const machine = [
    { id: 0, ranges: ranges(0, START + 256 * MIB) },
    { id: 3, ranges: ranges(START + 256 * MIB, 64 * GIB) },
  ]
  const nodes = nodesIn(layout, machine)
  assert.deepEqual(nodes, [
    { node: 0, start: START, lengthBytes: 256 * MIB },
    { node: 3, start: START + 256 * MIB, lengthBytes: 768 * MIB },
  ])
  assert.deepEqual(placeOf(layout, nodes), { start: START, lengthBytes: GIB, nodes })
  assert.deepEqual(placeOf(layout, nodesIn(layout, [])), { start: START, lengthBytes: GIB })
})

test('extents become physical ranges in file order; adjacent ones are merged', () => {
  const layout = layoutOf(GIB)
  assert.deepEqual(
    rangesOf(layout, [
      { start: 8, count: 2 },
      { start: 10, count: 1 },
      { start: 0, count: 1 },
    ]),
    [
      { start: START + 16 * MIB, lengthBytes: 6 * MIB },
      { start: START, lengthBytes: 2 * MIB },
    ],
  )
  assert.throws(() => rangesOf(layout, [{ start: layout.totalBlocks - 1, count: 2 }]), RangeError)
  assert.throws(() => rangesOf(layout, [{ start: -1, count: 1 }]), RangeError)
})

test('no range of any extents reaches the metadata or leaves the region', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 32, max: 4096 }),
      fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: 1, max: 100 })), { minLength: 1 }),
      (blocks, picks) => {
        const layout = layoutOf(blocks * BLOCK_BYTES)
        const extents = picks
          .map(([start, count]) => ({ start, count }))
          .filter(({ start, count }) => start + count <= layout.totalBlocks)
        const ranges = rangesOf(layout, extents)
        assert.ok(!anyOverlap(ranges, [layout.metadata]))
        for (const { start, lengthBytes } of ranges)
          assert.ok(start >= START && start + lengthBytes <= layout.metadata.start)
      },
    ),
  )
})

test('chunks cover the pool; the last one may be smaller, and each is known again by its range', () => {
  const layout = layoutOf(GIB)
  const count = chunkOf(layout.totalBlocks - 1) + 1
  let next = 0
  for (let chunk = 0; chunk < count; chunk++) {
    const extent = chunkExtent(layout, chunk)
    assert.equal(extent.start, next)
    next += extent.count
    assert.ok(isDataChunk(layout, rangesOf(layout, [extent])))
  }
  assert.equal(next, layout.totalBlocks)
  assert.equal(chunkExtent(layout, count - 1).count, layout.totalBlocks % CHUNK_BLOCKS)
  assert.ok(!isDataChunk(layout, rangesOf(layout, [{ start: 1, count: CHUNK_BLOCKS }])))
  assert.ok(!isDataChunk(layout, rangesOf(layout, [{ start: 0, count: CHUNK_BLOCKS - 1 }])))
  assert.ok(!isDataChunk(layout, [layout.metadata]))
  assert.deepEqual(
    chunksOf([
      { start: 60, count: 5 },
      { start: 2, count: 1 },
    ]),
    [0, 1, 2],
  )
})
