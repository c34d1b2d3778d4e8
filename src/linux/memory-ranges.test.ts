import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  covers,
  intersectRanges,
  mergeRanges,
  type PhysicalRange,
  subtractRanges,
  totalBytes,
} from './memory-ranges.ts'

const ranges = fc.array(fc.record({ start: fc.nat({ max: 40 }), lengthBytes: fc.nat({ max: 12 }) }), {
  maxLength: 6,
})

/** The bytes themselves: what the arithmetic must agree with. */
const bytesOf = (list: readonly PhysicalRange[]): Set<number> =>
  new Set(list.flatMap(({ start, lengthBytes }) => Array.from({ length: lengthBytes }, (_, i) => start + i)))

test('merging, subtracting and intersecting agree with sets of bytes', () => {
  fc.assert(
    fc.property(ranges, ranges, (one, other) => {
      assert.deepEqual(bytesOf(mergeRanges(one)), new Set([...bytesOf(one)].toSorted((a, b) => a - b)))
      assert.deepEqual(bytesOf(subtractRanges(one, other)), bytesOf(one).difference(bytesOf(other)))
      assert.deepEqual(bytesOf(intersectRanges(one, other)), bytesOf(one).intersection(bytesOf(other)))
      assert.equal(totalBytes(mergeRanges(one)), bytesOf(one).size)
      for (const range of one) assert.equal(covers(other, range), bytesOf([range]).isSubsetOf(bytesOf(other)))
    }),
  )
})
