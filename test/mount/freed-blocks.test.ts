import assert from 'node:assert/strict'
import { closeSync, openSync, promises, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { MIB } from '../../src/values/units.ts'
import { cannotMountMemoryFile, type MemoryFile, mountMemoryFile } from './memory-file.ts'
import { cannotMount, mountTestPool } from './support.ts'

const WORKER = 'src/stores/devmem/devmem-windows.ts'
const SEARCH = '    const held = findMemoryHolders('

/** While it is there, a search of the worker takes longer. */
const slowdownOf = ({ path }: MemoryFile): string => `${path}.slow`

function slowSearch(file: MemoryFile): [string, string, string][] {
  const isThere = `process.getBuiltinModule('node:fs').existsSync('${slowdownOf(file)}')`
  const sleeps = `if (${isThere}) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)`
  return [[WORKER, SEARCH, `    ${sleeps}\n${SEARCH}`]]
}

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

test('so can one that deletes guest RAM of a region, however long the search for processes takes', {
  skip: cannotMountMemoryFile,
  timeout: 120_000,
}, async (t) => {
  const { path, file } = await mountMemoryFile(t, 128 * MIB, slowSearch)
  for (const name of ['former', 'next']) writeFileSync(path(name), '')
  await promises.truncate(path('former'), 96 * MIB)
  writeFileSync(slowdownOf(file), '')
  await promises.unlink(path('former'))
  await promises.truncate(path('next'), 96 * MIB)
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
