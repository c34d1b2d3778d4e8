import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatInstant } from './instant.ts'

test('a point in time is told to the second, in UTC', () => {
  assert.equal(formatInstant(Date.UTC(2026, 10, 28, 19, 40, 36, 789)), '2026-11-28 19:40:36 UTC')
  assert.equal(formatInstant(0), '1970-01-01 00:00:00 UTC')
  assert.equal(formatInstant(Number.NaN), 'an unknown time')
})
