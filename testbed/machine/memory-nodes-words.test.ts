import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryNodeWords } from './memory-nodes-words.ts'

test('each node has its part of memory and processors', () => {
  assert.deepEqual(memoryNodeWords('6G', 2, 2), [
    ...['-object', 'memory-backend-ram,id=node0,size=3072M', '-numa', 'node,nodeid=0,memdev=node0,cpus=0'],
    ...['-object', 'memory-backend-ram,id=node1,size=3072M', '-numa', 'node,nodeid=1,memdev=node1,cpus=1'],
  ])
  assert.deepEqual(memoryNodeWords('4G', 2, 1), [])
  assert.match(memoryNodeWords('6G', 4, 2).join(' '), /cpus=0-1 .*cpus=2-3$/)
  assert.match(memoryNodeWords('6G', 2, 3).join(' '), /cpus=1 .*memdev=node2$/)
})
