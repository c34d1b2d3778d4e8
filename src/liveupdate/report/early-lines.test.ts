/** Tests of why guests did not go on before their mount: by the unit's record, or by systemd's answer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EarlyRecord } from '../guest/early-record.ts'
import { earlyLines } from './early-lines.ts'
import { parseUnits } from './unit-times.ts'

const ID = 'guestmemfs-early@pool.service'
const RECORD: EarlyRecord = { format: 1, beganAtMs: 1, guests: {}, left: ['a: /srv is not mounted'] }
const unit = (loadState: string, result: string) =>
  parseUnits(`Id=${ID}\nResult=${result}\nLoadState=${loadState}\n`).get(ID)

test('the unit itself says which guest lacked what', () => {
  assert.deepEqual(earlyLines(RECORD, unit('loaded', 'success')), RECORD.left)
  assert.deepEqual(earlyLines({ ...RECORD, left: [] }, unit('loaded', 'timeout')), [])
})

test('a unit that is masked, missing or has failed is one line', () => {
  const line = (loadState: string, result: string): string => {
    const [first = '', ...more] = earlyLines(undefined, unit(loadState, result))
    assert.equal(more.length, 0)
    return first
  }
  assert.match(line('masked', ''), /^guestmemfs-early@pool\.service is masked: 'systemctl unmask \S+'/)
  assert.match(line('not-found', ''), /is not installed: 'guestmemfs install'/)
  assert.match(line('loaded', 'timeout'), / failed \(timeout\): see 'journalctl -u \S+'$/)
})

test('a unit that had nothing to do, or that nothing asked for, is none', () => {
  for (const result of ['success', 'exec-condition', ''])
    assert.deepEqual(earlyLines(undefined, unit('loaded', result)), [])
  assert.deepEqual(earlyLines(undefined, undefined), [])
})
