import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BlockState } from '../state/entry.ts'
import { BlockMap } from './block-map.ts'
import { Fold } from './fold.ts'
import { entryBytes, StateSize } from './state-size.ts'
import { randomFrom, testSeed } from './testing/random.ts'
import { BLOCKS, randomEntries } from './testing/steps.ts'

test('the size that is kept up to date is the size of what there is, and no forecast was too low', (t) => {
  const seed = testSeed()
  t.diagnostic(`SEED=${seed}`)
  const random = randomFrom(seed)
  const size = new StateSize()
  const fold = new Fold()
  for (let step = 0; step < 2000; step++) {
    // One entry at a time: only then is a forecast exact.
    for (const entry of randomEntries(random)) {
      const bytes = entryBytes(entry)
      const { growthBytes } = size.forecast([entry], [bytes])
      const before = size.totalBytes
      size.add(entry, bytes)
      fold.add(entry)
      assert.ok(size.totalBytes - before <= growthBytes)
    }
    const sum = [...fold.entries()].reduce((total, entry) => total + entryBytes(entry), 0)
    assert.equal(size.totalBytes, sum)
  }
})

test('a block map has what was last stated of each block, in as few ranges as possible', (t) => {
  const seed = testSeed()
  t.diagnostic(`SEED=${seed}`)
  const random = randomFrom(seed)
  const map = new BlockMap()
  const plain: BlockState[] = Array.from({ length: BLOCKS }, () => 'clean')
  for (let step = 0; step < 5000; step++) {
    const start = random.below(BLOCKS)
    const count = 1 + random.below(Math.min(8, BLOCKS - start))
    const state = random.pick(['clean', 'dirty', 'bad'] as const)
    map.set({ start, count }, state)
    plain.fill(state, start, start + count)
    const shown: BlockState[] = Array.from({ length: BLOCKS }, () => 'clean')
    let changes = 0
    for (const range of map.ranges()) {
      const { extent } = range
      shown.fill(range.state, extent.start, extent.start + extent.count)
    }
    assert.deepEqual(shown, plain)
    plain.forEach((each, block) => {
      if (each !== 'clean' && each !== plain[block - 1]) changes++
    })
    assert.equal(map.ranges().length, changes)
  }
})
