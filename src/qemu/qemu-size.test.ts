import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseQemuSize } from './qemu-size.ts'

test('sizes are read as QEMU reads them', () => {
  for (const [text, bytes] of [
    ['500M', 500 * 2 ** 20],
    ['1.5G', 1.5 * 2 ** 30],
    ['2g', 2 ** 31],
    ['4096', 4096],
    ['64b', 64],
    ['0x200000', 2 ** 21],
    ['0', 0],
  ] as const) {
    assert.equal(parseQemuSize(text), bytes, text)
  }
  for (const text of ['', 'M', '1 G', '-1', '1GiB', '1e9', '9000E', '0x', 'ten']) {
    assert.equal(parseQemuSize(text), undefined, text)
  }
})
