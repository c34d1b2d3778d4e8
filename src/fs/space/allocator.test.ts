import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Extent } from '../../stores/store.ts'
import { ENOSPC } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { Refusal, WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import { Allocator } from './allocator.ts'
import { countBlocks } from './extents.ts'
import { FreeRuns } from './free-runs.ts'

const RAM = { guestRam: true }

test('free runs answer as a scan of the pool would', () => {
  const marks = fc.array(fc.tuple(fc.nat(36), fc.integer({ min: 1, max: 12 }), fc.boolean()), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 37 }), marks, (total, steps) => {
      const runs = new FreeRuns(total)
      const model: boolean[] = new Array(total).fill(false)
      for (const [at, length, free] of steps) {
        const start = at % total
        const count = Math.min(length, total - start)
        runs.mark({ start, count }, free)
        model.fill(free, start, start + count)
        for (let want = 1; want <= total; want++) assert.equal(runs.firstFit(want)?.start, scan(model, want))
      }
      const longest = Math.max(
        0,
        ...Array.from({ length: total + 1 }, (_, want) => want).filter(
          (want) => want > 0 && scan(model, want) !== undefined,
        ),
      )
      assert.equal(runs.longest()?.count ?? 0, longest)
    }),
    { numRuns: 60 },
  )
})

/** The lowest `want` free blocks in a row. */
function scan(model: readonly boolean[], want: number): number | undefined {
  for (let start = 0; start + want <= model.length; start++)
    if (model.slice(start, start + want).every(Boolean)) return start
  return undefined
}

test('every choice is free, exact and in few pieces; counts are exact throughout', () => {
  const steps = fc.array(
    fc.record({ grow: fc.boolean(), count: fc.integer({ min: 1, max: 9 }), which: fc.nat() }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), steps, (total, list) => {
      const allocator = new Allocator(total, undefined)
      const files: Extent[][] = []
      const used = () => new Set(files.flatMap((file) => file.flatMap(each)))
      for (const { grow, count, which } of list) {
        if (grow) {
          const before = used()
          const chosen = allocator.choose(count, RAM)
          if (chosen instanceof Refusal) {
            assert.equal(chosen, ENOSPC)
            assert.ok(total - before.size < count, 'ENOSPC only when there is not enough')
            continue
          }
          const got = chosen.flatMap(each)
          assert.equal(got.length, count)
          assert.equal(new Set(got).size, count)
          assert.ok(got.every((block) => block < total && !before.has(block)))
          const free = Array.from({ length: total }, (_, block) => !before.has(block))
          assert.equal(
            chosen.length === 1,
            scan(free, count) !== undefined,
            'in one piece whenever one is long enough',
          )
          if (chosen.length === 1) assert.equal(chosen[0]?.start, scan(free, count), 'the lowest such place')
          for (const extent of chosen) allocator.own(extent, RAM)
          files.push(chosen)
        } else {
          const [file] = files.splice(which % Math.max(files.length, 1), 1)
          for (const extent of file ?? []) allocator.disown(extent)
        }
        const owned = files.reduce((sum, file) => sum + countBlocks(file), 0)
        assert.deepEqual(allocator.counts, { total, owned, clean: total - owned, dirty: 0, bad: 0 })
      }
    }),
    { numRuns: 60 },
  )
})

const each = ({ start, count }: Extent) => Array.from({ length: count }, (_, at) => start + at)

test('dirty blocks are not handed out, and waiting for them is told from having none', () => {
  const allocator = new Allocator(8, undefined)
  allocator.state({ start: 0, count: 6 }, 'dirty')
  allocator.state({ start: 7, count: 1 }, 'bad')
  assert.deepEqual(allocator.counts, { total: 8, owned: 0, clean: 1, dirty: 6, bad: 1 })
  assert.deepEqual(allocator.choose(1, RAM), [{ start: 6, count: 1 }])
  assert.equal(allocator.choose(2, RAM), WAIT_FOR_ZEROING)
  assert.equal(allocator.choose(7, RAM), WAIT_FOR_ZEROING)
  assert.equal(allocator.choose(8, RAM), ENOSPC)
  assert.ok(allocator.isDirty({ start: 0, count: 6 }))
  assert.ok(!allocator.isDirty({ start: 5, count: 2 }))
  allocator.state({ start: 0, count: 6 }, 'clean')
  assert.deepEqual(allocator.choose(7, RAM), [{ start: 0, count: 7 }])
})

test('choosing reserves nothing, not even in pieces', () => {
  const allocator = new Allocator(5, undefined)
  for (const start of [1, 3]) allocator.own({ start, count: 1 }, RAM)
  const chosen = allocator.choose(3, RAM)
  assert.deepEqual(
    chosen,
    [0, 2, 4].map((start) => ({ start, count: 1 })),
  )
  assert.deepEqual(allocator.choose(3, RAM), chosen)
})

test('an owned block that turns bad is counted as owned until its file gives it up', () => {
  const allocator = new Allocator(4, undefined)
  allocator.own({ start: 0, count: 4 }, RAM)
  allocator.state({ start: 2, count: 1 }, 'bad')
  assert.deepEqual(allocator.counts, { total: 4, owned: 4, clean: 0, dirty: 0, bad: 0 })
  allocator.disown({ start: 0, count: 4 })
  assert.deepEqual(allocator.counts, { total: 4, owned: 0, clean: 3, dirty: 0, bad: 1 })
  assert.deepEqual(allocator.choose(3, RAM), [
    { start: 0, count: 2 },
    { start: 3, count: 1 },
  ])
})

test('a state that contradicts itself is refused', () => {
  const allocator = new Allocator(4, undefined)
  allocator.own({ start: 1, count: 1 }, RAM)
  assert.throws(() => allocator.own({ start: 0, count: 2 }, RAM), BrokenInvariantError)
  assert.throws(() => allocator.disown({ start: 3, count: 1 }), BrokenInvariantError)
  assert.throws(() => allocator.own({ start: 3, count: 2 }, RAM), BrokenInvariantError)
})

test('in a scattered pool of a million blocks a large file takes the fewest extents there can be', () => {
  const allocator = new Allocator(1 << 20, undefined)
  for (let block = 0; block < 1 << 20; block += 1024) allocator.own({ start: block, count: 1 }, RAM)
  assert.equal(allocator.choose(1024, RAM) instanceof Refusal, false)
  const chosen = allocator.choose(5000, RAM)
  assert.ok(!(chosen instanceof Refusal))
  assert.equal(countBlocks(chosen), 5000)
  assert.equal(chosen.length, 5)
})
