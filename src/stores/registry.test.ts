import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokenInvariantError } from '../values/errors.ts'
import { REGION_KINDS, STORE_KINDS } from '../values/store-kinds.ts'
import { PUD_BYTES } from '../values/units.ts'
import type { Region } from './driver.ts'
import { chunkBlocksOf, findRegion, STORES } from './registry.ts'
import { CHUNK_BLOCKS } from './store.ts'

const whoseRow = (fits: (kind: (typeof STORE_KINDS)[number]) => boolean) => STORE_KINDS.filter(fits)

test('a row says what mounts, commands and checks ask of a kind of store', () => {
  assert.deepEqual(
    whoseRow((kind) => STORES[kind].find !== undefined),
    REGION_KINDS,
  )
  assert.deepEqual(
    whoseRow((kind) => STORES[kind].carveOut !== false),
    ['dax', 'devmem'],
  )
  assert.deepEqual(
    whoseRow((kind) => STORES[kind].largestPageBytes === PUD_BYTES),
    ['dax'],
  )
  assert.deepEqual(
    STORE_KINDS.map((kind) => STORES[kind].survivesKexec),
    ['handover', 'in place', 'in place'],
  )
  assert.deepEqual([chunkBlocksOf('memfd'), chunkBlocksOf('dax')], [undefined, CHUNK_BLOCKS])
})

test('a region is looked for by the row of its kind', () => {
  const asked: (string | null)[] = []
  const region = { name: 'there' } as Region
  const find = (name: string | null) => {
    asked.push(name)
    return region
  }
  const stores = { ...STORES, other: { ...STORES.dax, find, chunkBlocks: 7 } }
  assert.equal(findRegion({ kind: 'other', region: 'here' }, stores), region)
  assert.deepEqual(asked, ['here'])
  assert.equal(chunkBlocksOf('other', stores), 7)
  for (const kind of ['memfd', 'other'])
    assert.throws(() => findRegion({ kind, region: null }), BrokenInvariantError)
})
