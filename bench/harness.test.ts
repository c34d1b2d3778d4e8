/**
 * Owns the tests of the harness: medians, and that every side runs once a round, in an order that rotates.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interleave, median, medianOf, slope } from './harness.ts'

test('median of odd and even counts', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
})

test('slope of a line, and of points around one', () => {
  assert.equal(
    slope([
      [0, 5],
      [1, 7],
      [3, 11],
    ]),
    2,
  )
  assert.equal(
    slope([
      [0, 1],
      [0, 3],
      [2, 5],
      [2, 7],
    ]),
    2,
  )
})

test('sides alternate, and the warm-up is thrown away', async () => {
  const order: string[] = []
  let a = 0
  const measured = await interleave(
    [
      {
        name: 'a',
        run: () => {
          order.push('a')
          a += 1
          return { n: a - 1 }
        },
      },
      { name: 'b', run: () => ({ n: order.push('b') }) },
    ],
    { rounds: 2, progress: () => {} },
  )
  assert.equal(order.join(''), 'abbaab')
  assert.deepEqual(measured[0]!.samples, { n: [1, 2] })
  assert.equal(medianOf(measured[0]!, 'n'), 1.5)
  assert.throws(() => medianOf(measured[0]!, 'x'), RangeError)
})

test('of three sides none comes right after itself, and each has every place', async () => {
  const order: string[] = []
  const side = (name: string) => ({ name, run: () => ({ n: order.push(name) }) })
  await interleave(['a', 'b', 'c'].map(side), { rounds: 3, warmUps: 0, progress: () => {} })
  assert.equal(order.join(''), 'abcbcacab')
})
