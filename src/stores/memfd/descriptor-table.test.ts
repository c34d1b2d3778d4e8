import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { DESCRIPTOR_TABLE_BYTES, DescriptorTable } from './descriptor-table.ts'

test('keeper and server each have a number of their own, and a row is in use while either has one', () => {
  const bytes = new Uint8Array(DESCRIPTOR_TABLE_BYTES)
  const server = new DescriptorTable(bytes)
  const keeper = new DescriptorTable(bytes)
  const object = 3 as ObjectId
  assert.deepEqual([...server.objects()], [])
  server.set(object, 'server', 0 as Fd)
  keeper.set(object, 'keeper', 17 as Fd)
  assert.equal(keeper.get(object, 'server'), 0)
  assert.equal(server.get(object, 'keeper'), 17)
  server.set(object, 'server', undefined)
  assert.deepEqual([...keeper.objects()], [object])
  keeper.set(object, 'keeper', undefined)
  assert.deepEqual([...keeper.objects()], [])
  assert.equal(keeper.usedRows, 4)
})
