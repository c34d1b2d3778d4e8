import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodesOfHost } from './ram-files.ts'

test('a memfd lies where its pages are that processes have mapped; on a host with one node, there', () => {
  const mapped = [
    { nodeBytes: [{ node: 1, bytes: 4096 }] },
    {
      nodeBytes: [
        { node: 0, bytes: 8192 },
        { node: 1, bytes: 4096 },
      ],
    },
    {},
  ]
  assert.deepEqual(nodesOfHost([0, 1], mapped), [0, 1])
  assert.deepEqual(nodesOfHost([0, 1], mapped.slice(0, 1)), [1])
  assert.equal(nodesOfHost([0, 1], [{ nodeBytes: [] }]), null)
  assert.equal(nodesOfHost([0, 1], []), null)
  assert.deepEqual(nodesOfHost([0], []), [0])
  assert.equal(nodesOfHost([], []), null)
})
