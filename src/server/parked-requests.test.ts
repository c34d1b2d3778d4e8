import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from '../fuse/decode.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { requestBytes } from '../fuse/testing/request-bytes.ts'
import { ParkedRequests } from './parked-requests.ts'

const request = (unique: bigint): HandledRequest => {
  const bytes = requestBytes(17, '', { unique })
  return decode(Buffer.from(bytes), bytes.length) as HandledRequest
}

test('a request whose caller was sent a signal is over with its next turn; the others go on waiting', () => {
  const deferred = new ParkedRequests()
  const waiting = [request(2n), request(4n)]
  for (const one of waiting) deferred.add(one)
  assert.equal(deferred.interrupt(4n), true)
  assert.equal(deferred.interrupt(6n), false, 'it was answered long ago')
  const taken = deferred.take()
  assert.deepEqual(taken, waiting)
  assert.deepEqual(
    taken.map((one) => deferred.takeInterrupted(one)),
    [false, true],
  )
  // An id is of one request: whoever waits under it later was not interrupted.
  assert.equal(deferred.takeInterrupted(request(4n)), false)
  assert.equal(deferred.size, 0)
})
