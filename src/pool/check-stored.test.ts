import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeUseIn, whyUnsafe } from './check-stored.ts'

const health = (storedFiles: number, unstoredFiles: number) =>
  storeUseIn({ badBlocks: 0, storedFiles, unstoredFiles, mostStoredFiles: 4000 })

test('the operator is warned from 80 percent of the limit on, and when it is reached', () => {
  const why = (stored: number, unstored: number) => whyUnsafe(health(stored, unstored) ?? assert.fail())
  assert.equal(why(0, 0), undefined)
  assert.equal(why(3199, 0), undefined)
  assert.match(why(3200, 0) ?? '', /has 3200 files of 4000/)
  assert.match(why(4000, 1) ?? '', /^1 files are not in the service manager's store, which takes 4000/)
})

test('a pool without a store has no limit', () => {
  assert.equal(storeUseIn({ badBlocks: 0, lostFiles: 0 }), undefined)
  assert.equal(storeUseIn(undefined), undefined)
})
