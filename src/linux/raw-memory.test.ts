import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EBADF, Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { close } from './descriptors.ts'
import { memfdCreate, readAt, resize } from './memory.ts'
import { mapRaw, type RawMapping, readRaw, unmapRaw, writeRaw, zeroRaw } from './raw-memory.ts'

const PAGE = 4096

function mapped(pages: number): { fd: Fd; mapping: RawMapping } {
  const fd = memfdCreate('test', { sealable: false })
  resize(fd, pages * PAGE)
  const mapping = mapRaw(fd, pages * PAGE, { writable: true })
  assert.ok(!(mapping instanceof Errno))
  return { fd, mapping }
}

test('what is written by address is in the memory, is read back, and is zeroed', () => {
  const { fd, mapping } = mapped(2)
  writeRaw(mapping, PAGE - 2, Buffer.from('abcd'))
  const bytes = Buffer.alloc(6)
  assert.equal(readAt(fd, PAGE - 3, bytes), 6)
  assert.equal(bytes.toString('latin1'), '\0abcd\0')
  zeroRaw(mapping, PAGE - 1, 2)
  readRaw(mapping, PAGE - 3, bytes)
  assert.equal(bytes.toString('latin1'), '\0a\0\0d\0')
  unmapRaw(mapping)
  close(fd)
})

test('nothing outside the mapping is touched', () => {
  const { fd, mapping } = mapped(1)
  for (const offset of [-1, PAGE - 3, PAGE])
    assert.throws(() => writeRaw(mapping, offset, Buffer.from('abcd')), RangeError)
  assert.throws(() => readRaw(mapping, PAGE, new Uint8Array(1)), RangeError)
  assert.throws(() => zeroRaw(mapping, 0, PAGE + 1), RangeError)
  assert.throws(() => zeroRaw(mapping, 0, -1), RangeError)
  writeRaw(mapping, PAGE, new Uint8Array(0))
  unmapRaw(mapping)
  close(fd)
})

test('unmapped is unmapped', () => {
  const { fd, mapping } = mapped(3)
  const line = `${mapping.address.toString(16)}-`
  assert.ok(readFileSync('/proc/self/maps', 'latin1').includes(line))
  unmapRaw(mapping)
  assert.ok(!readFileSync('/proc/self/maps', 'latin1').includes(line))
  close(fd)
})

test('what cannot be mapped is an errno', () => {
  assert.equal(mapRaw(1_000_000 as Fd, PAGE, { writable: false }), EBADF)
})
