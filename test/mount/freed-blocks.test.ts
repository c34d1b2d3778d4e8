import assert from 'node:assert/strict'
import { closeSync, openSync, truncateSync, unlinkSync } from 'node:fs'
import { test } from 'node:test'
import { cannotMount, mountTestPool } from './support.ts'

const MIB = 2 ** 20

test('the process that deletes a file can use its room at once', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const { path } = await mountTestPool(t, { size: '64M' })
  for (let round = 0; round < 100; round++) {
    const name = path(`ram-${round}`)
    closeSync(openSync(name, 'wx'))
    truncateSync(name, 60 * MIB)
    unlinkSync(name)
  }
})

test('a full pool answers ENOSPC, also while unlinked files own blocks', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const { path } = await mountTestPool(t, { size: '64M' })
  const held = openSync(path('held'), 'wx')
  truncateSync(path('held'), 60 * MIB)
  unlinkSync(path('held'))
  closeSync(openSync(path('next'), 'wx'))
  assert.throws(() => truncateSync(path('next'), 60 * MIB), { code: 'ENOSPC' })
  closeSync(held)
  truncateSync(path('next'), 60 * MIB)
})
