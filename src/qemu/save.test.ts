import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuError } from '../values/errors.ts'
import { checkStillSaved, stateProblem } from './save.ts'

const inState = (status: string, running = false) => ({ execute: async () => ({ status, running }) })

test('a saved guest is stopped by its migration, and by nothing else', async () => {
  await checkStillSaved(inState('postmigrate'))
  for (const other of [
    inState('running', true),
    inState('paused'),
    inState('shutdown'),
    inState('suspended'),
  ])
    await assert.rejects(checkStillSaved(other), /^QemuError: another client of its QEMU has continued it/)
  // The state that follows its end, of which QEMU tells before.
  const states = ['finish-migrate', 'finish-migrate', 'postmigrate']
  await checkStillSaved({ execute: async () => ({ status: states.shift(), running: false }) })
  assert.deepEqual(states, [])
  const silent = { execute: () => Promise.reject(new QemuError('query-status: no answer within 9 ms')) }
  await assert.rejects(checkStillSaved(silent), /no answer/)
})

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
