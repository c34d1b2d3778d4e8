/**
 * The `guestmemfs.*` xattrs of the root directory, which describe the pool. Integers are bytes or blocks, as
 * named.
 */
import { BLOCK_BYTES, type PoolPlace } from '../../stores/store.ts'
import { NEWEST_VERSION } from '../image/image-format.ts'
import { leastBlocks } from '../operations/resize-pool.ts'
import { countBlocks } from '../space/extents.ts'
import { pathOf } from '../state/path-of.ts'
import type { Volume } from '../state/volume.ts'
import { parseObject, VM } from './control-xattrs.ts'
import { describeMap } from './report-file.ts'

/** `guestmemfs.pool`. */
export function describePool({ journal, frozen, store }: Volume): object {
  const { poolName, uuid, storeKind } = journal.identity
  const known = {
    name: poolName,
    uuid: uuidText(uuid),
    store: storeKind,
    generation: journal.generation,
    frozen,
  }
  const { place } = store.descriptor
  if (place === undefined) return known
  // The value's spelling is older than the names here, and other programs read it.
  return { ...known, place: spellPlace(place) }
}

const spellPlace = ({ nodes, ...range }: PoolPlace): object => ({
  ...spellRange(range),
  ...(nodes && { nodes: nodes.map(({ node, ...part }) => ({ node, ...spellRange(part) })) }),
})

const spellRange = ({ start, lengthBytes }: Omit<PoolPlace, 'nodes'>): object => ({
  startByte: start,
  sizeBytes: lengthBytes,
})

/**
 * `guestmemfs.geometry`. Where ordinary files are kept apart, not every free block is free for either kind.
 */
export function describeGeometry({ index, store }: Volume): object {
  const { total, owned, clean, dirty, bad } = index.allocator.counts
  const { frames } = store.descriptor.rules
  return {
    blockBytes: BLOCK_BYTES,
    totalBytes: total * BLOCK_BYTES,
    totalBlocks: total,
    ownedBlocks: owned,
    cleanBlocks: clean,
    dirtyBlocks: dirty,
    badBlocks: bad,
    freeForGuestRamBlocks: index.allocator.freeFor({ guestRam: true }),
    freeForOrdinaryBlocks: index.allocator.freeFor({ guestRam: false }),
    ...(frames && { frameBlocks: frames.blocks, wholeFrames: index.allocator.wholeFrames }),
  }
}

/** `guestmemfs.format`: the version of the image's format, and the one that an upgrade leads to. */
export const describeFormat = ({ journal }: Volume): object => ({
  version: journal.version,
  newest: NEWEST_VERSION,
})

/** `guestmemfs.size`: what the pool could have. undefined: its size cannot be changed. */
export function describeSize(volume: Volume): object | undefined {
  const least = leastBlocks(volume)
  const { total } = volume.index.allocator.counts
  return least === undefined
    ? undefined
    : { totalBytes: total * BLOCK_BYTES, leastBytes: least * BLOCK_BYTES }
}

/**
 * `guestmemfs.health`: what is not as it should be, or not yet. `awaitedFiles` and `lostFiles`: files whose
 * object is incoming, or lost. `storedFiles` of `mostStoredFiles`, where the service manager holds copies of
 * descriptors: the `unstoredFiles` are lost when keeper and server die at once. Objects that the store makes
 * ahead count among them. `badBlocks` that no file has; `badBlocksInFiles`: that files have, left out where
 * there are none. `refusedByFormat`: how many requests this server refused because the image's older format
 * version cannot hold them (`guestmemfs.format`); left out where there are none.
 */
export function describeHealth(volume: Volume): object {
  const { index, state, store } = volume
  const { dirty, bad } = index.allocator.counts
  const badBlocksInFiles = state.blockStates.badBlocks - bad
  const storeUse = store.hostMemory?.storeUse
  return {
    badBlocks: bad,
    ...(badBlocksInFiles > 0 && { badBlocksInFiles }),
    dirtyBlocks: dirty,
    orphans: index.orphans.size,
    orphanBlocks: index.orphanBlocks,
    awaitedFiles: store.handover?.absent('incoming') ?? 0,
    lostFiles: store.handover?.absent('lost') ?? 0,
    ...(storeUse && {
      storedFiles: storeUse.stored,
      unstoredFiles: storeUse.unstored,
      mostStoredFiles: storeUse.most,
    }),
    ...(volume.refusedByFormat > 0 && { refusedByFormat: volume.refusedByFormat }),
  }
}

/**
 * `guestmemfs.orphans`: files without a name that are not evicted yet. `heldBy`: a process that was last seen
 * to map it; `isUnreadable` there: one that does not show the server what it maps.
 */
export function* describeOrphans({ index, state, store }: Volume): IterableIterator<object> {
  for (const ino of index.orphans) {
    const inode = state.inodes.get(ino)
    if (inode === undefined) continue
    const { kind, sizeBytes, guestRam, extents } = inode
    const heldBy = inode.object === undefined ? undefined : store.holder?.(inode.object)
    yield { ino, kind, sizeBytes, guestRam, blocks: countBlocks(extents), ...(heldBy && { heldBy }) }
  }
}

/**
 * `guestmemfs.vms`: the files that are a VM's RAM, by one of their paths below the mount. Orphans have none
 * and are left out.
 */
export function* describeVms(volume: Volume): IterableIterator<object> {
  for (const ino of volume.index.vmRecords) {
    const path = pathOf(volume, ino)
    if (path === undefined) continue
    const record = volume.state.xattrs.get(ino)?.get(VM)
    const name = record && parseObject(record)?.name
    yield typeof name === 'string' ? { path, ino, name } : { path, ino }
  }
}

/** `guestmemfs.ram`: all guest RAM that has a name, and how it is mapped (`guestmemfs.map` of each). */
export function* describeRam(volume: Volume): IterableIterator<object> {
  for (const ino of volume.index.guestRam) {
    const inode = volume.state.inodes.get(ino)
    const file = inode && pathOf(volume, ino)
    if (inode && file !== undefined)
      yield { file, extents: inode.extents.length, map: describeMap(volume, inode) }
  }
}

function uuidText(uuid: Uint8Array): string {
  return Buffer.from(uuid)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
