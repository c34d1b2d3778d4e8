import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fold } from './fold.ts'
import { entryBytes, StateSize } from './state-size.ts'
import { randomFrom, testSeed } from './testing/random.ts'
import { randomEntries } from './testing/steps.ts'

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
