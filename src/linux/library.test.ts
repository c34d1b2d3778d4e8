/** Tests that libc is called as declared and that its failures come out as the right errno. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EBADF, ENOENT } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import { close } from './descriptors.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall, must, orErrno, untilReadable } from './library.ts'
import { sendMessage, socketPair } from './sockets.ts'

const dup = libcCall('dup', 'int', ['int'])

test('a failed call gives its errno, or throws it with its name', () => {
  assert.equal(orErrno(dup(-1)), EBADF)
  assert.equal(errnoUnlessZero(dup(-1)), EBADF)
  assert.throws(
    () => must(dup(-1), 'dup fd -1'),
    (error) =>
      error instanceof SystemCallError && error.errno === EBADF && error.message === 'dup fd -1: EBADF',
  )
})

test('what node:fs throws becomes an errno, anything else is thrown again', () => {
  let thrown: unknown
  try {
    readFileSync('/nowhere/at/all')
  } catch (error) {
    thrown = error
  }
  assert.equal(errnoOfNodeError(thrown), ENOENT)
  assert.throws(() => errnoOfNodeError(new RangeError('x')), RangeError)
})

test('waiting for a descriptor ends when it can be read, or when it is called off', async () => {
  const [a, b] = socketPair()
  const wait = untilReadable(b)
  sendMessage(a, new Uint8Array(1))
  await wait.readable
  wait.cancel()
  const [c, d] = socketPair()
  const calledOff = untilReadable(d)
  calledOff.cancel()
  await calledOff.readable
  for (const fd of [a, b, c, d]) close(fd)
})
