import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackingId, Ino } from '../values/ids.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'

const ino = (value: number) => value as Ino
function fresh() {
  const bytes = new Uint8Array(RUNTIME_AREA_BYTES)
  return { bytes, runtime: new RuntimeArea(bytes) }
}

test('an area is established by the answer to INIT, and a successor reads what was negotiated', () => {
  const { bytes, runtime } = fresh()
  assert.equal(runtime.isEstablished, false)
  runtime.establish(7, { minor: 44 })
  const successor = new RuntimeArea(bytes)
  assert.equal(successor.isEstablished, true)
  assert.equal(successor.epoch, 7)
  assert.deepEqual(successor.negotiated, { minor: 44 })
})

test('pending lookups count only once carried over, and carrying over twice changes nothing', () => {
  const { bytes, runtime } = fresh()
  runtime.setLookups(ino(5), 'file', 1)
  runtime.armPending(0x1_0000_0002n, [
    { ino: ino(5), as: 'file', count: 2 },
    { ino: ino(6), as: 'file', count: 1 },
  ])
  assert.equal(runtime.lookups(ino(5), 'file'), 1)

  const delivered = new RuntimeArea(bytes.slice())
  assert.equal(delivered.pending, 0x1_0000_0002n)
  const interrupted = new RuntimeArea(bytes.slice())
  delivered.applyPending()
  delivered.applyPending()
  assert.deepEqual([delivered.lookups(ino(5), 'file'), delivered.lookups(ino(6), 'file')], [2, 1])
  assert.equal(delivered.pending, undefined)

  interrupted.dropPending()
  interrupted.applyPending()
  assert.deepEqual([interrupted.lookups(ino(5), 'file'), interrupted.lookups(ino(6), 'file')], [1, 0])
})

test('a request that is begun again and again is counted, any other starts anew', () => {
  const { bytes, runtime } = fresh()
  assert.equal(runtime.beginRequest(8n), 1)
  assert.equal(new RuntimeArea(bytes).beginRequest(8n), 2)
  assert.equal(new RuntimeArea(bytes).beginRequest(8n), 3)
  assert.equal(new RuntimeArea(bytes).beginRequest(1n << 40n), 1)
  assert.equal(new RuntimeArea(bytes).beginRequest(8n), 1)
})

test('known inodes are those with a count or a backing id', () => {
  const { runtime } = fresh()
  runtime.setLookups(ino(3), 'file', 1)
  runtime.setBackingId(ino(9), 4 as BackingId)
  runtime.setLookups(ino(12), 'file', 1)
  runtime.setLookups(ino(12), 'file', 0)
  assert.deepEqual([...runtime.knownInodes()], [3, 9])
  assert.equal(runtime.lastBackingId, 4)
})

test('the two ways one inode is shown are counted apart', () => {
  const { runtime } = fresh()
  runtime.setLookups(ino(5), 'file', 2)
  runtime.armPending(1n, [{ ino: ino(5), as: 'symlink', count: 1 }])
  runtime.applyPending()
  assert.deepEqual([runtime.lookups(ino(5), 'file'), runtime.lookups(ino(5), 'symlink')], [2, 1])
  runtime.setLookups(ino(5), 'file', 0)
  assert.equal(runtime.isReferenced(ino(5)), true)
})

test('an area of a format that is not known is refused, and nothing is stored into it', () => {
  const { bytes, runtime } = fresh()
  runtime.establish(7, { minor: 44 })
  for (const version of [0, 2, 0xffff_ffff]) {
    new Uint32Array(bytes.buffer)[1] = version
    const before = bytes.slice(0, 4096)
    assert.throws(() => new RuntimeArea(bytes), {
      name: 'UsageError',
      message: new RegExp(`has format ${version}, and this version of guestmemfs reads 1: `),
    })
    assert.deepEqual(bytes.slice(0, 4096), before)
  }
})
