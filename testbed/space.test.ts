/** Tests of the check for room before a download. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { UsageError } from '../src/values/errors.ts'
import { ensureRoom, noRoom } from './space.ts'

const GIB = 2 ** 30

test('missing room is an error in one line, with what to do', () => {
  assert.equal(
    noRoom('/cache', 3 * GIB, 1.5 * GIB, 'building a kernel'),
    'building a kernel needs 3G in /cache, where 1.5G are free: free 1.5G more, or set XDG_CACHE_HOME to a larger disk',
  )
})

test('a disk that has the room passes, one that has not is refused', () => {
  ensureRoom(tmpdir(), 1, 'nothing')
  assert.throws(() => ensureRoom(tmpdir(), 2 ** 60, 'everything'), UsageError)
})
