import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BriefPolling } from './brief-polling.ts'

/**
 * A clock that each look at the connection moves on by 10 µs, and a request that comes after so many looks.
 */
function polling(looksUntilReady: () => number) {
  let [nowMs, looks, all, done] = [0, 0, 0, 0]
  const brief = new BriefPolling(
    () => {
      nowMs += 0.01
      all++
      return ++looks > looksUntilReady()
    },
    () => {
      done++
    },
    () => nowMs,
  )
  const poll = (): boolean => {
    looks = 0
    return brief.poll()
  }
  return { poll, looks: () => all, done: () => done }
}

test('a request that comes within the moment is seen each time', () => {
  const { poll, done } = polling(() => 2)
  for (let wait = 0; wait < 100; wait++) assert.equal(poll(), true)
  assert.equal(done(), 200, 'other work is done as long as there is none')
})

test('where none comes in time it ends after the moment, and next to no wait begins so', () => {
  const { poll, looks } = polling(() => Number.POSITIVE_INFINITY)
  assert.equal(poll(), false)
  assert.ok(looks() >= 5 && looks() <= 6, 'the moment is 50 µs')
  for (let wait = 1; wait < 10_000; wait++) assert.equal(poll(), false)
  assert.ok(looks() < 6 * 20, `${looks()} looks in ten thousand waits`)
})

test('it comes back where callers are quick again', () => {
  let isBusy = true
  const { poll } = polling(() => (isBusy ? Number.POSITIVE_INFINITY : 0))
  for (let wait = 0; wait < 5000; wait++) poll()
  isBusy = false
  let seen = 0
  for (let wait = 0; wait < 3000; wait++) seen += Number(poll())
  assert.ok(seen > 1500, `${seen} of 3000`)
})
