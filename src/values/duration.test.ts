import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, formatTimeout, parseDuration } from './duration.ts'
import { UsageError } from './errors.ts'

test('times are read with their unit', () => {
  for (const [text, ms] of [
    ['200ms', 200],
    ['5s', 5000],
    ['5 s', 5000],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['24h', 86_400_000],
  ] as const)
    assert.equal(parseDuration(text, '--timeout'), ms, text)
})

test('anything else is refused in one line that names the value and how to write it', () => {
  for (const text of [
    '',
    '5',
    '60000',
    's',
    '-1s',
    '0s',
    '0.1ms',
    '5S',
    '5 sec',
    '1e3ms',
    '25h',
    '9999999999ms',
  ])
    assert.throws(
      () => parseDuration(text, '--timeout'),
      (error: unknown) =>
        error instanceof UsageError &&
        error.message === `--timeout '${text}' is not a time: write it as 5s, 200ms or 2m, at most 24h`,
      text,
    )
})

test('a limit is written as it is read', () => {
  for (const [ms, text] of [
    [30, '30 ms'],
    [999, '999 ms'],
    [1500, '1.5 s'],
    [5000, '5 s'],
    [180_000, '180 s'],
    [4999.7, '5 s'],
  ] as const)
    assert.equal(formatTimeout(ms), text)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 86_400 }), (seconds) => {
      assert.equal(parseDuration(formatTimeout(seconds * 1000), 'limit'), seconds * 1000)
    }),
  )
})

test('what was measured has the unit that fits it', () => {
  for (const [us, text] of [
    [undefined, '-'],
    [0, '0.0 ms'],
    [26_812, '26.8 ms'],
    [999_900, '999.9 ms'],
    [1_000_000, '1.00 s'],
    [18_500_000, '18.50 s'],
    [-1500, '−1.5 ms'],
    [601_000_000, '10 min 1 s'],
    [7_200_000_000, '2.0 h'],
    [Number.NaN, 'unknown'],
  ] as const)
    assert.equal(formatDuration(us), text)
})
