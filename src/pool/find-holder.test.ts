import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findHolder } from './find-holder.ts'

test('a pool without a record costs one search of all processes', async () => {
  let searches = 0
  const search = () => {
    searches++
    return []
  }
  const pool = `test-${process.pid}-none`
  assert.equal(await findHolder(pool, undefined, { isNew: false }, search), undefined)
  assert.equal(searches, 1)
})
