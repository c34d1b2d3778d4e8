/** Tests of which RAM an update would lose. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lostRam, streamedBytes } from './ram-blocks.ts'
import type { RamBlock } from './reading.ts'

const MIB = 2 ** 20
const VM = { cwd: '/', ramFiles: [{ id: 'ram', path: '/nowhere/ram', sizeBytes: 64 * MIB }] }
const block = (more: Partial<RamBlock> = {}): RamBlock => ({
  id: 'ram',
  type: 'memory-backend-file',
  sizeBytes: 64 * MIB,
  isShared: true,
  path: '/nowhere/ram',
  ...more,
})

test('what is on record is not lost, by whatever path QEMU was given', () => {
  assert.deepEqual(lostRam([block()], VM), [])
  assert.deepEqual(lostRam([block({ path: 'nowhere/ram' })], VM), [])
})

test('shared memory that is not on record is lost', () => {
  const [line] = lostRam([block(), block({ id: 'dimm0', type: 'memory-backend-memfd', path: null })], VM)
  assert.match(line ?? '', /^64M of its RAM \(memory-backend-memfd, 'dimm0'\) are not in the pool/)
})

test('RAM of another size, and RAM that its QEMU does not have, is lost', () => {
  assert.match(lostRam([block({ sizeBytes: MIB })], VM)[0] ?? '', /^1M of its RAM .* are not 64M of/)
  assert.match(lostRam([], VM)[0] ?? '', /has no RAM 'ram'/)
  assert.match(lostRam([block({ isShared: false })], VM)[0] ?? '', /has no RAM 'ram'/)
})

test('RAM that QEMU discards when it ends is lost', () => {
  const [line] = lostRam([block({ isDiscarded: true })], VM)
  assert.match(line ?? '', /would be destroyed .* 'qom-set \/objects\/ram discard-data false'$/)
})

test('private memory is written to the state file, and is counted', () => {
  const ram = [block(), block({ id: 'more', type: 'memory-backend-ram', isShared: false, sizeBytes: MIB })]
  assert.deepEqual(lostRam(ram, VM), [])
  assert.equal(streamedBytes(ram), MIB)
})
