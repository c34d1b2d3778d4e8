import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EBADF, EIO, Errno } from '../values/errno.ts'
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

test('a poisoned page is EIO, and does not end this process, and bytes beside it are moved', () => {
  const { fd, mapping } = mapped(3)
  writeRaw(mapping, 0, Buffer.alloc(3 * PAGE, 'x'))
  // The page is mapped and is not there any more: a load would be SIGBUS, as of a lost one.
  resize(fd, PAGE)
  const page = Buffer.alloc(PAGE)
  assert.equal(readRaw(mapping, 0, page), undefined)
  assert.equal(page.toString('latin1'), 'x'.repeat(PAGE))
  for (const offset of [PAGE - 1, PAGE, 2 * PAGE]) {
    assert.equal(readRaw(mapping, offset, page), EIO)
    assert.equal(writeRaw(mapping, offset, page), EIO)
    assert.equal(zeroRaw(mapping, offset, PAGE), EIO)
  }
  assert.equal(writeRaw(mapping, 1, Buffer.from('y')), undefined)
  assert.equal(readRaw(mapping, 0, page.subarray(0, 3)), undefined)
  assert.equal(page.toString('latin1', 0, 3), 'xyx')
  unmapRaw(mapping)
  close(fd)
})

test('more than is moved at once is moved whole', () => {
  const pages = (5 * 2 ** 20) / 2 / PAGE
  const { fd, mapping } = mapped(pages)
  const bytes = Buffer.from(Uint8Array.from({ length: pages * PAGE - 7 }, (_, index) => index * 31))
  assert.equal(writeRaw(mapping, 3, bytes), undefined)
  const back = Buffer.alloc(bytes.length)
  assert.equal(readRaw(mapping, 3, back), undefined)
  assert.ok(back.equals(bytes))
  assert.equal(zeroRaw(mapping, 3, bytes.length), undefined)
  readRaw(mapping, 3, back)
  assert.ok(back.every((byte) => byte === 0))
  unmapRaw(mapping)
  close(fd)
})

test('without a descriptor to copy through bytes are refused, and moved when there is one', () => {
  const file = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
  const program = `
    import { closeSync, openSync } from 'node:fs'
    import { memfdCreate, resize } from ${file('./memory.ts')}
    import { mapRaw, readRaw, writeRaw, zeroRaw } from ${file('./raw-memory.ts')}
    const fd = memfdCreate('test', { sealable: false })
    resize(fd, 4096)
    const mapping = mapRaw(fd, 4096, { writable: true })
    const bytes = Buffer.from('abcd')
    const moves = [() => writeRaw(mapping, 0, bytes), () => readRaw(mapping, 0, bytes), () => zeroRaw(mapping, 0, 4)]
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null')) } catch {}
    const refused = moves.map((move) => String(move()?.name))
    for (const each of taken) closeSync(each)
    console.log(JSON.stringify([refused, moves.map((move) => String(move()?.name))]))
  `
  const command = [
    '-ec',
    'ulimit -n 64; exec "$@"',
    'sh',
    process.execPath,
    '--input-type=module',
    '-e',
    program,
  ]
  const output = JSON.parse(execFileSync('sh', command, { encoding: 'utf8' }))
  assert.deepEqual(output, [Array(3).fill('EMFILE'), Array(3).fill('undefined')])
})
