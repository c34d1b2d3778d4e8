import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { UsageError } from './errors.ts'
import { formatSize, parseSize } from './size.ts'

test('sizes are read in bytes and binary units', () => {
  assert.equal(parseSize('4096', 'size'), 4096)
  assert.equal(parseSize('500M', 'size'), 500 * 2 ** 20)
  assert.equal(parseSize('10g', 'size'), 10 * 2 ** 30)
  assert.equal(parseSize('1GiB', 'size'), 2 ** 30)
  assert.equal(parseSize('512B', 'size'), 512)
  assert.equal(parseSize('1.5G', 'size'), 1.5 * 2 ** 30)
  assert.equal(parseSize('23.53 G', 'size'), 25_265_145_119)
})

test('anything else is refused in one line that names the value', () => {
  for (const text of ['', 'G', '10X', '-1', '1.5', '1.G', '.5G', '99999999999T', '10 GG']) {
    assert.throws(
      () => parseSize(text, 'size'),
      (error: unknown) =>
        error instanceof UsageError && error.message.includes(`'${text}'`) && !error.message.includes('\n'),
    )
  }
})

test('an exact number of units is written as it is read', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1023 }), fc.constantFrom('K', 'M', 'G', 'T'), (count, unit) => {
      assert.equal(formatSize(parseSize(`${count}${unit}`, 'size')), `${count}${unit}`)
    }),
  )
  for (const text of ['1.5G', '2.25T', '500.5M', '23.5G', '48K', '512B'])
    assert.equal(formatSize(parseSize(text, 'size')), text)
})

test('a size that is no round number of units is rounded to one decimal of the largest', () => {
  assert.equal(formatSize(25_276_510_208), '23.5G')
  assert.equal(formatSize(1.5 * 2 ** 30), '1.5G')
  assert.equal(formatSize(500 * 2 ** 20), '500M')
  assert.equal(formatSize(512), '512B')
})
