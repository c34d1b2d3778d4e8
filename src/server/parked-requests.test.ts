import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from '../fuse/decode.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { requestBytes } from '../fuse/testing/request-bytes.ts'
import { ParkedRequests } from './parked-requests.ts'

function request(unique: bigint): HandledRequest {
  const bytes = requestBytes(17, '', { unique })
  return decode(Buffer.from(bytes), bytes.length) as HandledRequest
}

test('a request whose caller was sent a signal is answered at its next retry; the others wait on', () => {
  const parked = new ParkedRequests()
  const waiting = [request(2n), request(4n)]
  for (const one of waiting) parked.add(one)
  assert.equal(parked.interrupt(4n), true)
  assert.equal(parked.interrupt(6n), false, 'it was answered long ago')
  const taken = parked.take()
  assert.deepEqual(taken, waiting)
  assert.deepEqual(
    taken.map((one) => parked.takeInterrupted(one)),
    [false, true],
  )
  // An id is of one request: a later one of that id was not interrupted.
  assert.equal(parked.takeInterrupted(request(4n)), false)
  assert.equal(parked.size, 0)
})
