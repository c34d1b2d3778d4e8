import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EIO } from '../../values/errno.ts'
import { WAIT_FOR_STORE } from '../../values/refusal.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS, type Placement } from '../store.ts'
import { CarveOutFixture } from './testing/carve-out-fixture.ts'

const KIB = 1024

/** Extents that cross chunks, and are not in order. */
const FILE_EXTENTS = [
  { start: 2 * CHUNK_BLOCKS - 1, count: 2 },
  { start: CHUNK_BLOCKS, count: 1 },
  { start: 2 * CHUNK_BLOCKS + 5, count: 1 },
]
const FILE_BLOCKS = 4

function extentsFor(sizeBytes: number): Placement['extents'] {
  let left = Math.ceil(sizeBytes / BLOCK_BYTES)
  return FILE_EXTENTS.flatMap(({ start, count }) => {
    const take = Math.min(left, count)
    left -= take
    return take > 0 ? [{ start, count: take }] : []
  })
}

/** Mostly a few offsets, so that ranges overlap often, within blocks and across their ends. */
const size = fc.oneof(
  { weight: 4, arbitrary: fc.nat(FILE_BLOCKS * 4).map((quarter) => (quarter * BLOCK_BYTES) / 4) },
  { weight: 1, arbitrary: fc.nat(FILE_BLOCKS * BLOCK_BYTES) },
)
const step = fc.oneof(
  fc.record({ kind: fc.constant('resize' as const), at: size, length: fc.constant(0) }),
  fc.record({
    kind: fc.constantFrom('write' as const, 'punch' as const),
    at: size,
    length: fc.oneof(fc.nat(5000), fc.constant(BLOCK_BYTES)),
  }),
  fc.record({ kind: fc.constant('restart' as const), at: fc.constant(0), length: fc.constant(0) }),
)

test('what a file had behind its end is zero when it grows again, also after a restart', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  const sized = (sizeBytes: number): Placement => ({
    sizeBytes,
    extents: extentsFor(sizeBytes),
    guestRam: false,
  })
  const resize = (sizeBytes: number) =>
    assert.equal(
      fixture.settle(() => fixture.store.resize(object, sized(sizeBytes))),
      undefined,
    )
  const reads = (): Buffer => {
    const into = Buffer.alloc(100)
    assert.equal(
      fixture.settle(() => fixture.store.data.read(object, 0, into)),
      100,
    )
    return into
  }
  for (const restarts of [false, true]) {
    resize(100)
    assert.equal(
      fixture.settle(() => fixture.store.data.write(object, 0, Buffer.alloc(100, 7))),
      100,
    )
    resize(10)
    if (restarts) {
      fixture.restart()
      fixture.store.adopt(object, sized(10))
    }
    resize(100)
    assert.ok(reads().equals(Buffer.concat([Buffer.alloc(10, 7), Buffer.alloc(90)])))
  }
  // A server died after writing and before logging: by the log the file has 10 bytes.
  fixture.store.data.write(object, 0, Buffer.alloc(100, 9))
  fixture.restart()
  fixture.store.adopt(object, sized(10))
  resize(100)
  assert.ok(reads().subarray(10).equals(Buffer.alloc(90)))
})

test('an ordinary file reads as what was written, zero elsewhere, also after a restart', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
      const fixture = new CarveOutFixture()
      const object = fixture.store.create()
      let model = Buffer.alloc(0)
      const placement = (): Placement => ({
        sizeBytes: model.length,
        extents: extentsFor(model.length),
        guestRam: false,
      })
      for (const [index, { kind, at, length }] of steps.entries()) {
        if (kind === 'restart') {
          fixture.restart()
          fixture.store.adopt(object, placement())
        } else if (kind === 'resize') {
          // As the file system does: it zeroes blocks freed from a file before another file gets them.
          const before = extentsFor(model.length)
          model = Buffer.concat([model.subarray(0, at)], at)
          assert.equal(
            fixture.settle(() => fixture.store.resize(object, placement())),
            undefined,
          )
          const kept = extentsFor(at)
          for (const extent of before.slice(kept.length)) fixture.region.fill(extent.start, extent.count, 0)
          const last = kept.at(-1)
          const was = last && before[kept.length - 1]
          if (last && was && was.count > last.count)
            fixture.region.fill(last.start + last.count, was.count - last.count, 0)
        } else {
          const bytes = Buffer.alloc(
            Math.max(0, Math.min(length, model.length - at)),
            kind === 'punch' ? 0 : index + 1,
          )
          bytes.copy(model, Math.min(at, model.length))
          if (kind === 'write')
            assert.equal(
              fixture.settle(() => fixture.store.data.write(object, at, bytes)),
              bytes.length,
            )
          else
            assert.equal(
              fixture.settle(() => fixture.store.data.punchHole(object, at, bytes.length)),
              undefined,
            )
        }
        const into = Buffer.alloc(model.length)
        assert.equal(
          fixture.settle(() => fixture.store.data.read(object, 0, into)),
          model.length,
        )
        assert.ok(into.equals(model))
      }
      // Chunks alone, never a device for the file itself.
      for (const { ranges } of fixture.region.instances.values())
        assert.ok(ranges.every(({ lengthBytes }) => lengthBytes >= 4 * BLOCK_BYTES))
    }),
    // A failure prints its seed; making its steps fewer would take minutes.
    { numRuns: 60, endOnFailure: true },
  )
})

test('two large holes are both finished, however their requests take turns', () => {
  const fixture = new CarveOutFixture()
  const sizeBytes = 34 * BLOCK_BYTES
  const objects = [0, 34].map((start) => {
    const object = fixture.store.create()
    const placement = { sizeBytes, extents: [{ start, count: 34 }], guestRam: false }
    assert.equal(
      fixture.settle(() => fixture.store.resize(object, placement)),
      undefined,
    )
    assert.equal(
      fixture.settle(() => fixture.store.data.write(object, sizeBytes - KIB, Buffer.alloc(KIB, 7))),
      KIB,
    )
    return object
  })
  const waiting = new Set(objects)
  for (let round = 0; round < 10 && waiting.size > 0; round++) {
    for (const object of waiting)
      if (fixture.store.data.punchHole(object, 0, sizeBytes) !== WAIT_FOR_STORE) waiting.delete(object)
    fixture.worker.work()
    fixture.store.events.drain()
  }
  assert.equal(waiting.size, 0)
  for (const object of objects) {
    const into = Buffer.alloc(KIB, 1)
    assert.equal(fixture.store.data.read(object, sizeBytes - KIB, into), KIB)
    assert.ok(into.equals(Buffer.alloc(KIB)))
  }
})

test('a hole whose caller was interrupted half-way begins anew', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  const sizeBytes = 34 * BLOCK_BYTES
  const placement = { sizeBytes, extents: [{ start: 0, count: 34 }], guestRam: false }
  const bytes = Buffer.alloc(KIB, 7)
  fixture.settle(() => fixture.store.resize(object, placement))
  assert.equal(fixture.store.data.punchHole(object, 0, sizeBytes), WAIT_FOR_STORE)
  assert.equal(fixture.store.data.write(object, 0, bytes), KIB)
  assert.equal(
    fixture.settle(() => fixture.store.data.punchHole(object, 0, sizeBytes)),
    undefined,
  )
  assert.equal(fixture.store.data.read(object, 0, bytes), KIB)
  assert.ok(bytes.equals(Buffer.alloc(KIB)))
})

test('a poisoned page is EIO to a caller that reads, writes or punches it, and other bytes are moved', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  const sizeBytes = 2 * BLOCK_BYTES
  const extents = [
    { start: CHUNK_BLOCKS, count: 1 },
    { start: CHUNK_BLOCKS + 5, count: 1 },
  ]
  assert.equal(
    fixture.settle(() => fixture.store.resize(object, { sizeBytes, extents, guestRam: false })),
    undefined,
  )
  const { data } = fixture.store
  const bytes = Buffer.alloc(10, 'x')
  assert.equal(
    fixture.settle(() => data.write(object, 0, bytes)),
    10,
  )
  fixture.region.lose(CHUNK_BLOCKS + 1)
  assert.equal(data.read(object, BLOCK_BYTES, Buffer.alloc(10)), EIO)
  assert.equal(data.write(object, BLOCK_BYTES, bytes), EIO)
  assert.equal(data.punchHole(object, BLOCK_BYTES, 10), EIO)
  const into = Buffer.alloc(10)
  assert.equal(data.read(object, 0, into), 10)
  assert.equal(into.toString('latin1'), 'x'.repeat(10))
  assert.equal(data.read(object, BLOCK_BYTES - 5, into), 5, 'as far as it goes')
})
