/** New pools on memory that a former pool knows, over a store in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formerBadBlocks } from '../fs/image/format-over.ts'
import type { State } from '../fs/state/state.ts'
import { MemoryStore } from '../fs/testing/memory-store.ts'
import type { Extent } from '../stores/store.ts'
import { MIB } from '../values/units.ts'
import { formatPool, openFileSystem } from './open-file-system.ts'

const TOTAL_BLOCKS = 16
const OWN = { origin: { unique: 0n, epoch: 1 } }

class RegionStore extends MemoryStore {
  readonly area = new Uint8Array(new SharedArrayBuffer(MIB))

  constructor() {
    super({ clearing: 'ours', totalBlocks: TOTAL_BLOCKS })
  }

  override metadataArea(): Uint8Array {
    return this.area
  }
}

const open = (store: RegionStore, pool: string, isNew = false) => openFileSystem(store, { pool, isNew })
const badOf = (state: State) =>
  state.blockStates.runs.filter((run) => run.state === 'bad').map(({ start, count }) => [start, count])
function former(store: RegionStore): readonly Extent[] {
  const bad = formerBadBlocks(store.area, TOTAL_BLOCKS)
  return typeof bad === 'string' ? assert.fail(bad) : bad
}

test('bad memory of a pool is bad in the next one there, also after the next kernel has opened it', () => {
  const store = new RegionStore()
  formatPool(store, 'first', [{ start: 2, count: 1 }])
  const first = open(store, 'first')
  assert.equal(first.fs.statfs().freeBlocks, TOTAL_BLOCKS - 1)
  assert.ok(Array.isArray(first.fs.markBad(OWN, [{ start: 9, count: 2 }])))
  assert.deepEqual(badOf(open(store, 'first').image.state), [
    [2, 1],
    [9, 2],
  ])
  formatPool(store, 'second', former(store))
  const second = open(store, 'second')
  assert.deepEqual(badOf(second.image.state), [
    [2, 1],
    [9, 2],
  ])
  assert.equal(second.fs.statfs().freeBlocks, TOTAL_BLOCKS - 3)
  assert.deepEqual(second.image.state.verify(TOTAL_BLOCKS), [])
  for (let extent = second.fs.dirtyExtent(99); extent !== undefined; extent = second.fs.dirtyExtent(99)) {
    for (const block of [2, 9, 10]) assert.ok(block < extent.start || block >= extent.start + extent.count)
    assert.equal(second.fs.markClean(OWN, extent), undefined)
  }
  // They stay bad until an operator says otherwise (`reads`): then the format needs no byte of what was
  // there.
  store.area.fill(0xff, 4096)
  formatPool(store, 'third', [], { reads: false })
  assert.deepEqual(badOf(open(store, 'third').image.state), [])
})

test('a mount after a formatting that was interrupted makes the pool with what is known', () => {
  const store = new RegionStore()
  formatPool(store, 'first', [{ start: 4, count: 1 }])
  const magic = store.area.slice(0, 8)
  // As a crash leaves it between the header's first and last store.
  store.area.set(Buffer.from('guestmem'), 0)
  assert.deepEqual(badOf(open(store, 'mounted', true).image.state), [[4, 1]])
  assert.deepEqual(store.area.slice(0, 8), magic)
  const fresh = new RegionStore()
  assert.deepEqual(badOf(open(fresh, 'new', true).image.state), [])
})
