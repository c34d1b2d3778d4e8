/** Tests of what the early start leaves to the resumption, without /run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { type EarlyRecord, goneOnBefore, parseEarlyRecord, recordedGuest } from './early-record.ts'

const SAVED = { crc32: 7, stoppedAtMs: 1000.5 }
const RESULT = { steps: [['wait', 2000] as const, ['continue', 3000.25] as const], unset: ['no limit'] }
const RECORD: EarlyRecord = {
  format: 1,
  beganAtMs: 1999,
  guests: { a: recordedGuest(SAVED, RESULT) },
  left: ['b: its tap is not there'],
}
const vm = (name: string, saved: object | null) => ({ definition: { name, saved } as VmDefinition })

test('what is written is read back, and what is cut off or of another format is none', () => {
  const text = JSON.stringify(RECORD)
  assert.deepEqual(parseEarlyRecord(text), RECORD)
  for (const other of ['', text.slice(0, -1), '{}', text.replace('"format":1', '"format":2')])
    assert.equal(parseEarlyRecord(other), undefined, other)
})

test('a guest that went on is known by the state that it went on from', async () => {
  const guests = goneOnBefore(RECORD, [vm('a', SAVED), vm('b', SAVED)])
  assert.deepEqual([...guests.keys()], ['a'])
  assert.deepEqual((await guests.get('a'))?.steps, RESULT.steps)
  assert.deepEqual((await guests.get('a'))?.unset, RESULT.unset)
})

test('one that was saved again since, or is not saved, has no early times', () => {
  for (const saved of [{ ...SAVED, crc32: 8 }, { ...SAVED, stoppedAtMs: 1001 }, null])
    assert.equal(goneOnBefore(RECORD, [vm('a', saved)]).size, 0, JSON.stringify(saved))
  assert.equal(goneOnBefore(RECORD, [vm('constructor', null)]).size, 0)
})
