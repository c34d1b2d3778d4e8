import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { mapShared, memfdCreate, resize } from '../../linux/memory.ts'
import { EINVAL, EMFILE, ENOMEM, EPERM, Errno } from '../../values/errno.ts'
import { SystemCallError } from '../../values/errors.ts'
import type { ObjectId } from '../../values/ids.ts'
import { DESCRIPTOR_TABLE_BYTES, DescriptorTable } from './descriptor-table.ts'
import { type KeeperChannel, MemfdStore } from './memfd-store.ts'

/** A keeper that takes each message and sends none. */
const SILENT: KeeperChannel = {
  hold() {},
  release() {},
  isPending: false,
  flush() {},
  socket: undefined,
  holdsSessions: false,
  received: () => [],
  preserve: () => false,
  unpreserve: () => false,
  closeSessions() {},
}

function emptyTable(): DescriptorTable {
  const area = memfdCreate('test:descriptors', { sealable: false })
  resize(area, DESCRIPTOR_TABLE_BYTES)
  return new DescriptorTable(mapShared(area, DESCRIPTOR_TABLE_BYTES))
}

const storeOf = (table: DescriptorTable): MemfdStore =>
  new MemfdStore({
    table,
    channel: SILENT,
    metadata: new Uint8Array(0),
    totalBlocks: 8,
    descriptorLimit: 1000,
  })

const openDescriptors = (): number => readdirSync('/proc/self/fd').length

test('objects take no descriptor that the keeper or a later server may need', () => {
  const kept: number[] = []
  const store = new MemfdStore({
    table: emptyTable(),
    channel: { ...SILENT, hold: (_objects, descriptors) => void kept.push(...descriptors) },
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

test('no other file gets a row that a file owns, though its memfd was not handed over', () => {
  const table = emptyTable()
  // Of the former kernel: object 5 is incoming, 3 was an orphan or lost before, and 4 is no file's.
  table.setState(5 as ObjectId, 'incoming')
  const store = storeOf(table)
  const placement = { sizeBytes: 4096, extents: [{ start: 0, count: 1 }], guestRam: false }
  for (const object of [3, 5] as ObjectId[]) store.adopt(object, placement)
  assert.deepEqual([store.state(3 as ObjectId), store.state(5 as ObjectId)], ['lost', 'incoming'])
  store.release(3 as ObjectId)
  const made = Array.from({ length: 20 }, () => store.create() as ObjectId)
  assert.equal(new Set(made).size, made.length, `${made}`)
  assert.ok(!made.includes(5 as ObjectId), `${made}`)
})

test('a file that gets the row of a lost object of no file is there after the next start of a server', () => {
  const table = emptyTable()
  const placement = { sizeBytes: 0, extents: [], guestRam: false }
  // Made ahead for no file, and lost with keeper and server both: recovery releases them.
  for (const object of [1, 2] as ObjectId[]) table.setState(object, 'lost')
  const first = storeOf(table)
  for (const object of first.objects()) first.release(object)
  const file = first.create() as ObjectId
  assert.ok([1, 2].includes(file), `${file}`)
  const second = storeOf(table)
  second.adopt(file, placement)
  assert.equal(second.state(file), 'present')
})

test('a file whose row a former version had left lost is there, where its memfd is as large as it', () => {
  const table = emptyTable()
  const place = (sizeBytes: number) => ({ sizeBytes, extents: [], guestRam: false })
  for (const [sizeBytes, state] of [
    [8192, 'present'],
    [8193, 'lost'],
  ] as const) {
    const object = sizeBytes as ObjectId
    const memfd = memfdCreate('test:left-lost', { sealable: false })
    resize(memfd, 8192)
    table.set(object, 'server', memfd)
    table.setState(object, 'lost')
    const store = storeOf(table)
    store.adopt(object, place(sizeBytes))
    assert.deepEqual([store.state(object), table.state(object)], [state, state])
  }
})

test('what the kernel refuses of a memfd is the answer, not an exception', () => {
  const table = emptyTable()
  const store = storeOf(table)
  const object = store.create() as ObjectId
  const placement = (sizeBytes: number) => ({ sizeBytes, extents: [], guestRam: false })
  assert.equal(store.resize(object, placement(-1)), EINVAL)
  assert.equal(store.resize(object, placement(8192)), undefined)
  assert.equal(store.data.write(object, 0, Buffer.from('kept')), 4)
  // Sealed, as a memfd that LUO has preserved is.
  assert.equal(store.isHeld(object), false)
  assert.equal(store.data.write(object, 0, Buffer.from('lost')), EPERM)
  assert.equal(store.data.punchHole(object, 0, 4096), EPERM)
  const bytes = Buffer.alloc(4)
  assert.equal(store.data.read(object, 0, bytes), 4)
  assert.equal(bytes.toString(), 'kept')
  // Not made by this store: it cannot be sealed, and need not be.
  const foreign = 77 as ObjectId
  table.set(foreign, 'server', memfdCreate('test:unsealable', { sealable: false }))
  assert.equal(store.isHeld(foreign), false)
})

test('a message that the kernel has no memory for is the errno of the new object, and ends no server', () => {
  let isFull = true
  const store = new MemfdStore({
    table: emptyTable(),
    channel: {
      ...SILENT,
      hold: () => {
        if (isFull) throw new SystemCallError('sendmsg', ENOMEM)
      },
    },
    metadata: new Uint8Array(0),
    totalBlocks: 8,
    descriptorLimit: 1000,
  })
  const before = openDescriptors()
  assert.equal(store.create(), ENOMEM)
  assert.equal(openDescriptors(), before)
  isFull = false
  assert.ok(!(store.create() instanceof Errno))
})
