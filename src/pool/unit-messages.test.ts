/**
 * Tests of the messages between `mount` and the unit's process: each is read, or is none, as a file that was
 * cut off.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMountRequest, readAnswer } from './unit-messages.ts'

const REQUEST = { pool: 'guestmemfs', mountPoint: '/mnt', options: ['size=1G'] }
const MOUNTED = { pool: 'guestmemfs', mountPoint: '/mnt', sizeBytes: 2 ** 30, how: 'new' }

test('a whole message is read as it was written', () => {
  assert.deepEqual(parseMountRequest(JSON.stringify(REQUEST)), REQUEST)
  const answers = [
    { ok: true, mounted: MOUNTED },
    { ok: false, reason: 'no' },
  ]
  for (const answer of answers) assert.deepEqual(readAnswer(JSON.stringify(answer)), answer)
})

test('bytes that are no message are none', () => {
  const text = JSON.stringify(REQUEST)
  const cut = [...text].map((_, length) => text.slice(0, length))
  for (const none of [...cut, 'null', '[]', '{"ok":true}', '{"pool":1,"mountPoint":"/mnt","options":[]}']) {
    assert.equal(parseMountRequest(none), undefined, none)
    assert.equal(readAnswer(none), undefined, none)
  }
})
