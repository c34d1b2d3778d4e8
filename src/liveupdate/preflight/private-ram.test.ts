/** Owns the tests of what is said of private RAM before a guest is paused for it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GIB, MIB } from '../../values/units.ts'
import { type PrivateRam, privateRamWords } from './private-ram.ts'

function said(more: Partial<PrivateRam>) {
  const { problems, remarks } = privateRamWords({
    bytes: 512 * MIB,
    bytesPerSecond: 128 * MIB,
    stateBytes: 2 * MIB,
    patienceMs: undefined,
    ...more,
  })
  return { refused: problems.join('|'), warned: remarks.join('|') }
}

test('none is no word', () => {
  assert.deepEqual(said({ bytes: 0 }), { refused: '', warned: '' })
})

test('its part of the blackout is said, as long as the limit of QEMU makes it', () => {
  const { refused, warned } = said({})
  assert.equal(refused, '')
  assert.equal(
    warned,
    '512M of its RAM are private: it stands still while they are written, 4.0 s or more, at 128M a second (max-bandwidth)',
  )
  assert.equal(
    said({ bytesPerSecond: 0 }).warned,
    '512M of its RAM are private: it stands still while they are written',
  )
})

test('where the other guests would not wait so long, it is refused before they stand still', () => {
  assert.equal(said({ patienceMs: 5000 }).refused, '')
  const { refused, warned } = said({ patienceMs: 4000 })
  assert.equal(warned, '')
  assert.match(refused, /^512M .* written for 4\.0 s or more, .* wait 4 s for it \(--patience\): raise one/)
  assert.equal(said({ patienceMs: 4000, bytesPerSecond: 0 }).refused, '')
})

test('more than a state file takes is refused', () => {
  assert.match(said({ bytes: 4 * GIB }).refused, /^4G .* a state file takes \S+ at most: give it files/)
})
