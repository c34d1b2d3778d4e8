/** Tests of what is said of an early start, and of its record, without guests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EarlyRecord } from '../liveupdate/guest/early-record.ts'
import type { EarlyResult } from '../liveupdate/guest/early-result.ts'
import { EarlyOutcome } from './early-outcome.ts'
import type { SavedGuest } from './saved-guests.ts'

const guest = (name: string, wasRunning = true) =>
  ({ definition: { name }, saved: { wasRunning, crc32: 7, stoppedAtMs: 5 } }) as SavedGuest
const RESULT: EarlyResult = { steps: [['continue', 9]], unset: [] }

function outcome() {
  const written: EarlyRecord[] = []
  return { written, of: new EarlyOutcome(3, (record) => written.push(record)) }
}

test('a guest is on record as soon as it has gone on, whatever ends the process then', async () => {
  const { written, of } = outcome()
  await of.of(guest('a'), Promise.resolve(RESULT))
  const recorded = { crc32: 7, stoppedAtMs: 5, steps: [['continue', 9]], unset: [] }
  assert.deepEqual(written, [{ format: 1, beganAtMs: 3, guests: { a: recorded }, left: [] }])
  await of.of(guest('b'), Promise.resolve(RESULT))
  assert.deepEqual(Object.keys(written.at(-1)?.guests ?? {}), ['a', 'b'])
})

test('each guest has one line: that it went on, what it lacked, or how far it came', async () => {
  const { written, of } = outcome()
  const guests = ['gone', 'lacks', 'unreached', 'refused', 'slow'].map((name) => guest(name))
  const never = new Promise<undefined>(() => {})
  const started = new Map([
    ['gone', of.of(guest('gone'), Promise.resolve(RESULT))],
    ['refused', of.of(guest('refused'), Promise.resolve(undefined))],
    ['slow', of.of(guest('slow'), never)],
  ])
  await started.get('gone')
  await started.get('refused')
  const lines = of.end(guests, { started, left: new Map([['lacks', '/srv is not mounted']]) })
  assert.deepEqual(lines, [
    'gone went on before the mount',
    'lacks: /srv is not mounted',
    'unreached: its RAM or its saved state could not be reached',
    'refused: no QEMU took it: see /run/guestmemfs/vm/refused/log',
    'slow: its QEMU did not have it within 15 s',
  ])
  assert.deepEqual(written.at(-1)?.left, lines.slice(1))
})

test('a guest that its owner had paused did not wait in vain', async () => {
  const { written, of } = outcome()
  const paused = guest('paused', false)
  const started = new Map([['paused', of.of(paused, Promise.resolve(undefined))]])
  await started.get('paused')
  assert.deepEqual(of.end([paused], { started, left: new Map() }), [])
  assert.deepEqual(written.at(-1)?.left, [])
})
