/** Tests of what counts as growth. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { growthOf, type Sample, sampleOf } from './memory.ts'

const samples = (count: number, at: (index: number) => Partial<Sample>): Sample[] =>
  Array.from({ length: count }, (_, index) => ({
    atSeconds: index,
    residentKib: 50_000,
    descriptors: 40,
    ...at(index),
  }))

test('a process whose memory goes up and down is flat, and so is one that grew at its start only', () => {
  assert.equal(
    growthOf(samples(100, (index) => ({ residentKib: 50_000 + 4000 * (index % 7) }))).wrong,
    undefined,
  )
  assert.equal(
    growthOf(samples(100, (index) => ({ residentKib: Math.min(60_000, 40_000 + 1000 * index) }))).wrong,
    undefined,
  )
})

test('steady growth is reported, of memory and of descriptors', () => {
  assert.match(
    growthOf(samples(100, (index) => ({ residentKib: 50_000 + 100 * index }))).wrong ?? '',
    /grew by 59\d\d KiB/,
  )
  assert.match(
    growthOf(samples(100, (index) => ({ descriptors: 40 + Math.floor(index / 2) }))).wrong ?? '',
    /descriptors more/,
  )
})

test('this process has memory and descriptors; one that has ended has none', () => {
  const own = sampleOf(process.pid, 0)
  assert.ok(own !== undefined && own.residentKib > 1000 && own.descriptors > 2)
  assert.equal(sampleOf(2 ** 22 + 1, 0), undefined)
})
