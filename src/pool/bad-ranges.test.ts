import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../values/errors.ts'
import { GIB, KIB, MIB } from '../values/units.ts'
import { badBlocksIn, parseBadRanges } from './bad-ranges.ts'

test('ranges: hexadecimal or with units, a page without a size, several at once', () => {
  assert.deepEqual(parseBadRanges([]), [])
  assert.deepEqual(parseBadRanges(['0x140000000+4K', '5G+2M, 6G', '0x1C0000000']), [
    { start: 5 * GIB, lengthBytes: 4 * KIB },
    { start: 5 * GIB, lengthBytes: 2 * MIB },
    { start: 6 * GIB, lengthBytes: 4 * KIB },
    { start: 7 * GIB, lengthBytes: 4 * KIB },
  ])
})

test('what is no range is refused in one line that says how to write it', () => {
  for (const text of [
    '',
    '5G+',
    '+4K',
    '5G+0',
    '5G+4K+4K',
    '5G-6G',
    '0x',
    '0xzz+4K',
    '-1+4K',
    '5G+4Q',
    '0xfffffffffffff+8192T',
    'dax0.0',
  ])
    assert.throws(
      () => parseBadRanges([text]),
      (error: Error) =>
        error instanceof UsageError && /^--bad '[^\n]+(write|is not a size)[^\n]+$/.test(error.message),
      text,
    )
})

const REGION = { name: 'dax0.0', totalBlocks: 508, place: { start: 4 * GIB, lengthBytes: GIB } }

test('each block that has a byte of a range is bad; what lies elsewhere, or under the image, is refused', () => {
  const blocks = (start: number, lengthBytes: number) => badBlocksIn(REGION, [{ start, lengthBytes }])
  assert.deepEqual(blocks(4 * GIB, 1), [0])
  assert.deepEqual(blocks(4 * GIB + 2 * MIB - 1, 2), [0, 1])
  assert.deepEqual(blocks(4 * GIB + 507 * 2 * MIB, 2 * MIB), [507])
  assert.throws(
    () => blocks(4 * GIB - 1, 2),
    /--bad 0xffffffff\+2B does not lie in region dax0\.0, which is 0x100000000\+1G$/,
  )
  assert.throws(() => blocks(5 * GIB - 1, 2), /does not lie in region/)
  for (const [start, length] of [
    [4 * GIB + 508 * 2 * MIB, 1],
    [4 * GIB + 507 * 2 * MIB, 3 * MIB],
    [5 * GIB - 1, 1],
  ] as const)
    assert.throws(
      () => blocks(start, length),
      /where the image of every pool of region dax0\.0 lies \(0x13f800000\+8M\)/,
    )
})
