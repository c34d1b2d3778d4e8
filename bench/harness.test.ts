/** Tests of the harness: medians, and that every side runs once a round, in a balanced order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interleave, median, medianOf, orderOf, slope } from './harness.ts'

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
    { rounds: 2, settleMs: 0, progress: () => {} },
  )
  assert.equal(order.join(''), 'abbaab')
  assert.deepEqual(measured[0]!.samples, { n: [1, 2] })
  assert.equal(medianOf(measured[0]!, 'n'), 1.5)
  assert.throws(() => medianOf(measured[0]!, 'x'), RangeError)
})

for (const count of [2, 3, 4, 5]) {
  test(`of ${count} sides each has each place, and comes after each other one, equally often`, () => {
    const rounds = count % 2 === 1 ? 2 * count : count
    const orders = [...Array(rounds).keys()].map((round) => orderOf(round, count))
    const tally = (keys: string[]): number[] => {
      const counts = new Map<string, number>()
      for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
      return [...counts.values()]
    }
    const places = tally(orders.flatMap((order) => order.map((side, place) => `${side} at ${place}`)))
    const pairs = tally(
      orders.flatMap((order) => order.slice(1).map((side, at) => `${side} after ${order[at]}`)),
    )
    assert.deepEqual(places, Array(count ** 2).fill(rounds / count))
    assert.deepEqual(pairs, Array(count * (count - 1)).fill(rounds / count))
  })
}
