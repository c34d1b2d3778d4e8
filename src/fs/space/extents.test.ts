import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Extent } from '../../stores/store.ts'
import { commonBlocks, countBlocks, cutExtents, joinExtents } from './extents.ts'

const extents = fc.array(fc.record({ start: fc.nat(9), count: fc.integer({ min: 1, max: 3 }) }), {
  maxLength: 5,
})
const each = (list: readonly Extent[]) =>
  list.flatMap(({ start, count }) => Array.from({ length: count }, (_, at) => start + at))

test('joining keeps every block in order and leaves no two extents that touch', () => {
  fc.assert(
    fc.property(extents, extents, (head, tail) => {
      const joined = joinExtents(head, tail)
      assert.deepEqual(each(joined), [...each(head), ...each(tail)])
      for (const [at, { start, count }] of joined.entries())
        assert.notEqual(joined[at + 1]?.start, start + count)
    }),
  )
})

test('cutting gives the first blocks and the rest', () => {
  fc.assert(
    fc.property(extents, fc.nat(16), (list, keep) => {
      const { kept, freed } = cutExtents(list, keep)
      assert.equal(countBlocks(kept), Math.min(keep, countBlocks(list)))
      assert.deepEqual([...each(kept), ...each(freed)], each(list))
    }),
  )
})

test('what two files have in common is what they have in common block by block', () => {
  const similar = fc
    .tuple(extents, extents, extents)
    .map(([head, a, b]) => [joinExtents(head, a), joinExtents(head, b)] as const)
  fc.assert(
    fc.property(similar, ([a, b]) => {
      const common = commonBlocks(a, b)
      assert.deepEqual(each(a).slice(0, common), each(b).slice(0, common))
      if (a.length === b.length && each(a).join() === each(b).join()) assert.equal(common, countBlocks(a))
    }),
    { numRuns: 1000 },
  )
})
