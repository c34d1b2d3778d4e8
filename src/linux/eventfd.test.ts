import assert from 'node:assert/strict'
import { test } from 'node:test'
import { close, waitReadable } from './descriptors.ts'
import { lowerEventfd, makeEventfd, raiseEventfd } from './eventfd.ts'

test('raised often is readable until it is lowered once', () => {
  const fd = makeEventfd()
  assert.equal(waitReadable(fd, 0), false)
  assert.equal(lowerEventfd(fd), false)
  raiseEventfd(fd)
  raiseEventfd(fd)
  assert.equal(waitReadable(fd, 0), true)
  assert.equal(lowerEventfd(fd), true)
  assert.equal(waitReadable(fd, 0), false)
  assert.equal(lowerEventfd(fd), false)
  close(fd)
})
