import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stateProblem } from './save.ts'

const problem = (status: string, version: `${number}.${number}.${number}`): string | undefined =>
  stateProblem({ status, running: status === 'running' }, version)

test('a guest is saved from a state in which QEMU can have it go on as it was, and from no other', () => {
  for (const status of ['running', 'paused', 'suspended'])
    assert.equal(problem(status, '9.0.0'), undefined, status)
  for (const status of ['running', 'paused']) assert.equal(problem(status, '8.2.7'), undefined, status)
  assert.equal(problem('postmigrate', '10.0.2'), "the guest is in state 'postmigrate'")
  assert.equal(
    problem('suspended', '8.2.7'),
    "the guest is suspended, and QEMU 8.2.7 would not keep it so: wake it ('system_wakeup') first",
  )
})
