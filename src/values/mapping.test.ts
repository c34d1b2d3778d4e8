import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAP_KINDS, type MappedBy, mappedBy } from './mapping.ts'

test('guestmemfs.map keeps its spelling, and is read back as what it was written for', () => {
  assert.deepEqual(Object.entries(MAP_KINDS), [
    ['passthrough', 'file'],
    ['dax-node', 'device'],
    ['devmem', 'window'],
    ['none', 'none'],
    ['incoming', 'awaited'],
    ['lost', 'lost'],
  ])
  for (const by of Object.keys(MAP_KINDS) as MappedBy[]) assert.equal(mappedBy(MAP_KINDS[by]), by)
})
