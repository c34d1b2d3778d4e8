import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findBreak, readTicks } from './ticks.ts'
import { buildTinyGuest, codeOf } from './tiny-guest.ts'

test('ticks are read from whole lines only', () => {
  assert.deepEqual(readTicks('SeaBIOS\r\ntick 1 bad 0\ntick 2 bad 7\r\ntick 3 bad'), [
    { number: 1, bad: 0 },
    { number: 2, bad: 7 },
  ])
})

test('a guest that is reset while it prints is seen from its first tick on', () => {
  assert.equal(findBreak(readTicks('tick 1 bad 0\ntick 2 bad tick 1 bad 0\n')), 'tick 1 where tick 2 was due')
})

test('a repeated, a missing and a bad tick are each a break', () => {
  const run = (...numbers: number[]) => numbers.map((number) => ({ number, bad: 0 }))
  assert.equal(findBreak(run(1, 2, 3)), undefined)
  assert.equal(findBreak(run(1, 2, 2)), 'tick 2 where tick 3 was due')
  assert.equal(findBreak(run(1, 3)), 'tick 3 where tick 2 was due')
  assert.equal(findBreak([{ number: 1, bad: 4 }]), '4 bad words at tick 1')
})

test('the guest is a small multiboot image', () => {
  const image = buildTinyGuest({ mebibytes: 64 })
  const header = new DataView(image.buffer)
  assert.ok(image.length <= 2 * 4096)
  const code = codeOf(image)
  assert.equal(code.length, 4096, 'what the guest writes is in a page of its own')
  assert.deepEqual(
    code,
    codeOf(buildTinyGuest({ mebibytes: 64, seed: 2 })).fill(code),
    'as every seed has it',
  )
  const [magic, flags, checksum] = [0, 4, 8].map((offset) => header.getUint32(offset, true)) as [
    number,
    number,
    number,
  ]
  assert.equal(magic, 0x1badb002)
  assert.equal((magic + flags + checksum) % 2 ** 32, 0)
  assert.throws(() => buildTinyGuest({ mebibytes: 4096 }), /1 to 2044/)
})
