import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fd, MemoryId } from '../../values/ids.ts'
import { DESCRIPTOR_TABLE_BYTES, DescriptorTable } from './descriptor-table.ts'

test('keeper and server each have a number of their own, and a row is in use while either has one', () => {
  const bytes = new Uint8Array(DESCRIPTOR_TABLE_BYTES)
  const server = new DescriptorTable(bytes)
  const keeper = new DescriptorTable(bytes)
  const memory = 3 as MemoryId
  assert.deepEqual([...server.memories()], [])
  server.set(memory, 'server', 0 as Fd)
  keeper.set(memory, 'keeper', 17 as Fd)
  assert.equal(keeper.get(memory, 'server'), 0)
  assert.equal(server.get(memory, 'keeper'), 17)
  server.set(memory, 'server', undefined)
  assert.deepEqual([...keeper.memories()], [memory])
  keeper.set(memory, 'keeper', undefined)
  assert.deepEqual([...keeper.memories()], [])
  assert.equal(keeper.usedRows, 4)
})
