import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EAGAIN, ENOENT, Errno, errnoFromCode } from './errno.ts'
import { Refusal, WAIT_FOR_STORE, WAIT_FOR_ZEROING, Wait } from './refusal.ts'

test('one test tells a refusal from a result, and a Wait from an Errno', () => {
  for (const refusal of [ENOENT, EAGAIN, WAIT_FOR_STORE, WAIT_FOR_ZEROING])
    assert.ok(refusal instanceof Refusal)
  for (const result of [undefined, 0, { code: 11, name: 'EAGAIN' }]) assert.ok(!(result instanceof Refusal))
  assert.ok(!((WAIT_FOR_STORE as unknown) instanceof Errno))
  assert.ok(!((EAGAIN as unknown) instanceof Wait))
})

test('a Wait has no number that the kernel could be sent', () => {
  assert.equal(errnoFromCode(11), EAGAIN)
  // @ts-expect-error: where an Errno is wanted, a Wait does not compile.
  const sent: Errno = WAIT_FOR_STORE
  assert.equal(sent.code, undefined)
})
