import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BlockState } from '../state/entry.ts'
import { BlockStates, type StatedRun } from './block-states.ts'

const POOL = 24
const steps = fc.array(
  fc.record({
    start: fc.integer({ min: 0, max: POOL - 1 }),
    count: fc.integer({ min: 1, max: 8 }),
    state: fc.constantFrom<BlockState[]>('clean', 'dirty', 'bad'),
  }),
  { maxLength: 30 },
)

function runs(states: BlockStates): StatedRun[] {
  const found: StatedRun[] = []
  for (let run = states.runBeyond(-1); run; run = states.runBeyond(run.start + run.count)) found.push(run)
  return found
}

test('runs say of every block what was last said, and are as few as can be', () => {
  fc.assert(
    fc.property(steps, (stated) => {
      const states = new BlockStates()
      const model: BlockState[] = new Array(POOL + 8).fill('clean')
      let kept: StatedRun[] = []
      for (const { start, count, state } of stated) {
        const { removed, added } = states.set({ start, count }, state)
        assert.ok(removed.every((run) => kept.includes(run)))
        kept = [...kept.filter((run) => !removed.includes(run)), ...added]
        model.fill(state, start, start + count)
      }
      assert.deepEqual(runs(states), states.runs)
      assert.deepEqual(
        kept.toSorted((one, other) => one.start - other.start),
        states.runs,
      )
      const shown: BlockState[] = new Array(POOL + 8).fill('clean')
      let end = -1
      let last: BlockState = 'clean'
      for (const run of runs(states)) {
        assert.ok(run.count > 0 && run.start >= end, 'ascending, none empty')
        assert.ok(run.start > end || run.state !== last, 'equal neighbours are one')
        shown.fill(run.state, run.start, run.start + run.count)
        end = run.start + run.count
        last = run.state
      }
      assert.deepEqual(shown, model)
      assert.equal(states.first('dirty')?.start ?? -1, model.indexOf('dirty'))
    }),
  )
})

test('without leaves exactly the blocks that are not in a state, firstIn finds the lowest that are', () => {
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 0, max: POOL }),
      fc.integer({ min: 1, max: 8 }),
      (stated, start, count) => {
        const states = new BlockStates()
        const model: BlockState[] = new Array(POOL + 8).fill('clean')
        for (const step of stated) {
          states.set(step, step.state)
          model.fill(step.state, step.start, step.start + step.count)
        }
        const left = states
          .without({ start, count }, 'bad')
          .flatMap((part) => Array.from({ length: part.count }, (_, at) => part.start + at))
        const expected = Array.from({ length: count }, (_, at) => start + at).filter(
          (at) => model[at] !== 'bad',
        )
        assert.deepEqual(left, expected)
        const bad = states.firstIn({ start, count }, 'bad')
        const firstBad = Array.from({ length: count }, (_, at) => start + at).find(
          (at) => model[at] === 'bad',
        )
        assert.equal(bad?.start, firstBad)
        const inIt = Array.from({ length: bad?.count ?? 0 }, (_, at) => (bad?.start ?? 0) + at)
        assert.ok(inIt.every((at) => model[at] === 'bad' && at < start + count))
      },
    ),
  )
})
