/** Tests of the turns of scenarios in CI. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TURNS, turnOf } from './turns.ts'

test("every scenario is one of a turn's own within twelve turns in a row, wherever they begin", () => {
  for (const count of [1, 2, 11, 12, 13, 22, 23, 24, 25, 40]) {
    const names = Array.from({ length: count }, (_, index) => `s${index}`)
    for (const begin of [0, 1, 5, 1234]) {
      const seen = new Set(Array.from({ length: TURNS }, (_, turn) => turnOf(names, begin + turn).own).flat())
      assert.equal(seen.size, count, `${count} from ${begin}`)
    }
  }
})

test('a turn names every scenario once', () => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const { own, more } = turnOf(names, 3)
  assert.deepEqual([...own, ...more].toSorted(), names)
  assert.deepEqual(turnOf([], 3), { own: [], more: [] })
})
