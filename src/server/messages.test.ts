import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROTOCOL, protocolProblem } from './messages.ts'

test('keeper and server need one version in common; one that sends none has 0', () => {
  const only = (version: number) => ({ oldest: version, newest: version })
  assert.equal(protocolProblem(PROTOCOL, PROTOCOL), undefined)
  assert.equal(protocolProblem(undefined, undefined), undefined)
  assert.equal(protocolProblem({ oldest: 1, newest: 3 }, { oldest: 3, newest: 4 }), undefined)
  assert.equal(protocolProblem({ oldest: 3, newest: 4 }, { oldest: 1, newest: 3 }), undefined)
  assert.match(
    protocolProblem(only(2), { oldest: 0, newest: 1 }) ?? '',
    /keeper has protocol 2, its server 0 to 1:.*that of the keeper$/,
  )
  assert.match(protocolProblem({ oldest: 0, newest: 1 }, only(2)) ?? '', /that of the server$/)
  assert.match(protocolProblem(undefined, only(2)) ?? '', /^its keeper has protocol 0, its server 2:/)
  assert.match(protocolProblem(only(1), undefined) ?? '', /^its keeper has protocol 1, its server 0:/)
})

test('processes of before there was a number are understood', () => {
  assert.equal(PROTOCOL.oldest, 0)
})
