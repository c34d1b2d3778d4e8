import assert from 'node:assert/strict'
import { test } from 'node:test'
import { characterMajor, majorOf } from './character-devices.ts'

const DEVICES = `Character devices:
  1 mem
  5 /dev/tty
252 dax
253 dax_other

Block devices:
  7 loop
252 virtblk
`

test('a driver has the major that /proc/devices says, among character devices alone', () => {
  assert.equal(characterMajor('dax', DEVICES), 252)
  assert.equal(characterMajor('mem', DEVICES), 1)
  assert.equal(characterMajor('loop', DEVICES), undefined)
  assert.equal(characterMajor('da', DEVICES), undefined)
  assert.equal(characterMajor('mem'), 1, 'this machine has /dev/null')
})

test('the major of a device number is its bits 8 to 19', () => {
  assert.deepEqual([0x103, 0xfff00, 0x12345678].map(majorOf), [1, 0xfff, 0x456])
})
