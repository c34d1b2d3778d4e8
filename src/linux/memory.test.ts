/** Tests of memfds and mappings against the running kernel. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EBUSY, EINVAL, ENXIO, EPERM } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { SEEK_DATA, SEEK_HOLE } from '../values/uapi.ts'
import { close } from './descriptors.ts'
import { addressOf } from './library.ts'
import {
  adviseHuge,
  collapse,
  mapShared,
  memfdCreate,
  punchHole,
  readAt,
  resize,
  sealWrites,
  seek,
  writeAt,
} from './memory.ts'

const MIB = 1024 * 1024

function memfd(sizeBytes: number): Fd {
  const fd = memfdCreate('test', { sealable: true })
  resize(fd, sizeBytes)
  return fd
}

test('what is written is read, sparse parts as zero, the end ends it', () => {
  const fd = memfd(3 * MIB)
  assert.equal(writeAt(fd, 2 * MIB, Buffer.from('abc')), 3)
  const bytes = new Uint8Array(6)
  assert.equal(readAt(fd, 2 * MIB - 2, bytes), 6)
  assert.deepEqual([...bytes], [0, 0, 0x61, 0x62, 0x63, 0])
  assert.equal(readAt(fd, 3 * MIB - 1, bytes), 1)
  assert.equal(readAt(fd, 3 * MIB, bytes), 0)
  assert.equal(readAt(fd, 0, new Uint8Array(0)), 0)
  close(fd)
})

test('a mapping is the memory itself, at an address huge pages can be used for', () => {
  for (const sizeBytes of [4096, 2 * MIB, 5 * MIB + 4096]) {
    const fd = memfd(sizeBytes)
    const mapping = mapShared(fd, sizeBytes)
    assert.equal(mapping.byteLength, sizeBytes)
    mapping[sizeBytes - 1] = 42
    const last = new Uint8Array(1)
    readAt(fd, sizeBytes - 1, last)
    assert.equal(last[0], 42)
    writeAt(fd, 0, Buffer.from([7]))
    assert.equal(mapping[0], 7)
    if (sizeBytes >= 2 * MIB) assert.equal(addressOf(mapping) % (2 * MIB), 0)
    close(fd)
    assert.equal(mapping[0], 7, 'a mapping outlives its descriptor')
  }
})

test('a mapping larger than 4 GiB is reached to its end, without memory for what is not touched', () => {
  const sizeBytes = 5 * 1024 * MIB
  const fd = memfd(sizeBytes)
  const mapping = mapShared(fd, sizeBytes)
  new DataView(mapping.buffer).setBigUint64(sizeBytes - 8, 0x1122334455667788n, true)
  const last = Buffer.alloc(8)
  readAt(fd, sizeBytes - 8, last)
  assert.equal(last.readBigUInt64LE(), 0x1122334455667788n)
  assert.equal(seek(fd, 0, SEEK_DATA), sizeBytes - 4096)
  resize(fd, 0)
  close(fd)
})

test('collapse makes huge pages of touched memory, whatever the machine is set to', () => {
  const fd = memfd(4 * MIB)
  const mapping = mapShared(fd, 4 * MIB)
  assert.equal(adviseHuge(mapping), undefined)
  assert.equal(collapse(mapping), EINVAL, 'nothing to make a huge page of')
  mapping.fill(1)
  assert.equal(collapse(mapping), undefined)
  const start = addressOf(mapping).toString(16)
  const smaps = readFileSync('/proc/self/smaps', 'latin1')
  const mine = smaps.slice(smaps.indexOf(`\n${start}-`))
  assert.equal(/ShmemPmdMapped:\s+(\d+) kB/.exec(mine)?.[1], '4096')
  assert.equal(collapse(mapping.subarray(1)), EINVAL)
  close(fd)
})

test('shrinking and growing again leaves zeros, and a bad size is refused', () => {
  const fd = memfd(2 * MIB)
  writeAt(fd, MIB, Buffer.from('old'))
  resize(fd, MIB)
  resize(fd, 2 * MIB)
  const bytes = new Uint8Array(3)
  readAt(fd, MIB, bytes)
  assert.deepEqual([...bytes], [0, 0, 0])
  assert.equal(resize(fd, -1), EINVAL)
  close(fd)
})

test('a punched hole reads as zero, seeking tells data from holes', () => {
  const fd = memfd(MIB)
  writeAt(fd, 0, new Uint8Array(3 * 4096).fill(1))
  punchHole(fd, 4096, 4096)
  const bytes = new Uint8Array(3 * 4096)
  readAt(fd, 0, bytes)
  assert.deepEqual([bytes[4095], bytes[4096], bytes[8191], bytes[8192]], [1, 0, 0, 1])
  assert.equal(seek(fd, 0, SEEK_HOLE), 4096)
  assert.equal(seek(fd, 4096, SEEK_DATA), 8192)
  assert.equal(seek(fd, MIB, SEEK_DATA), ENXIO)
  close(fd)
})

test('writes can be sealed only when no process maps the memory writable', () => {
  const fd = memfd(4096)
  mapShared(fd, 4096)
  assert.equal(sealWrites(fd), EBUSY)
  writeAt(fd, 0, Buffer.from([1]))
  close(fd)
  const free = memfd(4096)
  assert.equal(sealWrites(free), undefined)
  assert.equal(sealWrites(free), undefined, 'asking twice is allowed')
  assert.equal(writeAt(free, 0, Buffer.from([1])), EPERM)
  close(free)
  const unsealable = memfdCreate('test', { sealable: false })
  assert.equal(sealWrites(unsealable), EPERM)
  close(unsealable)
})

test('a memfd is not handed to a program that is started', () => {
  const fd = memfd(4096)
  const listed = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'latin1' })
  assert.ok(!listed.stdout.includes('memfd:test'))
  close(fd)
})
