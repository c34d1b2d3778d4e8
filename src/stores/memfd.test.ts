import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { mapShared, memfdCreate, resize } from '../linux/memory.ts'
import { EMFILE, Errno } from '../values/errno.ts'
import { DESCRIPTOR_TABLE_BYTES, DescriptorTable } from './descriptor-table.ts'
import { MemfdStore } from './memfd.ts'

const openDescriptors = (): number => readdirSync('/proc/self/fd').length

test('memory takes no descriptor that the keeper or a later server may need', () => {
  const area = memfdCreate('test:descriptors', { sealable: false })
  resize(area, DESCRIPTOR_TABLE_BYTES)
  const kept: number[] = []
  const store = new MemfdStore({
    table: new DescriptorTable(mapShared(area, DESCRIPTOR_TABLE_BYTES)),
    custody: {
      keep: (_memories, descriptors) => void kept.push(...descriptors),
      drop() {},
      isBehind: false,
      catchUp() {},
      socket: undefined,
      holdsSessions: false,
      received: () => [],
      handOver: () => false,
      takeBack: () => false,
    },
    metadata: new Uint8Array(0),
    totalBlocks: 1,
    descriptorLimit: 200,
  })
  let made = 0
  let last = store.create()
  for (; !(last instanceof Errno); last = store.create()) made++
  assert.equal(last, EMFILE)
  assert.equal(made, kept.length)
  assert.ok(made > 50, `${made}`)
  assert.ok(Math.max(...kept) < 200 - 25)
  const before = openDescriptors()
  assert.equal(store.create(), EMFILE)
  assert.equal(openDescriptors(), before)
})
