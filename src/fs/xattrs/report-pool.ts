/**
 * Owns what the root directory says about the pool in `guestmemfs.*` xattrs. Integers are bytes or blocks, as
 * named.
 */
import { BLOCK_BYTES } from '../../stores/store.ts'
import type { Ino } from '../../values/ids.ts'
import { count } from '../handover.ts'
import { orphans } from '../operations/orphans.ts'
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
  return place === undefined ? known : { ...known, place }
}

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

/**
 * `guestmemfs.health`: what is not as it should be, or not yet. `awaited` and `lost`: files whose object is
 * incoming, or lost.
 */
export function describeHealth(volume: Volume): object {
  const { index, state } = volume
  const { dirty, bad } = index.allocator.counts
  let orphanBlocks = 0
  for (const ino of index.orphans) orphanBlocks += countBlocks(state.inodes.get(ino)?.extents ?? [])
  return {
    badBlocks: bad,
    dirtyBlocks: dirty,
    orphans: index.orphans.size,
    orphanBlocks,
    awaitedFiles: count(volume, 'incoming'),
    lostFiles: count(volume, 'lost'),
  }
}

/** `guestmemfs.orphans`: files without a name whose memory something still holds. */
export function describeOrphans(volume: Volume): object[] {
  return orphans(volume).map(({ ino, kind, sizeBytes, guestRam, extents }) => {
    return { ino, kind, sizeBytes, guestRam, blocks: countBlocks(extents) }
  })
}

/**
 * `guestmemfs.vms`: the files that are a VM's RAM, by one of their paths below the mount. Orphans have none
 * and are left out.
 */
export function describeVms(volume: Volume): object[] {
  const found: { ino: Ino; name: unknown }[] = []
  for (const [ino, xattrs] of volume.state.xattrs) {
    const record = xattrs.get(VM)
    if (record) found.push({ ino, name: parseObject(record)?.name })
  }
  return found.flatMap(({ ino, name }) => {
    const path = pathOf(volume, ino)
    if (path === undefined) return []
    return typeof name === 'string' ? { path, ino, name } : { path, ino }
  })
}

/** `guestmemfs.ram`: all guest RAM that has a name, and how it is mapped (`guestmemfs.map` of each). */
export function describeRam(volume: Volume): object[] {
  return [...volume.state.inodes.values()].flatMap((inode) => {
    const file = inode.guestRam && inode.links > 0 ? pathOf(volume, inode.ino) : undefined
    return file === undefined
      ? []
      : [{ file, extents: inode.extents.length, map: describeMap(volume, inode) }]
  })
}

function uuidText(uuid: Uint8Array): string {
  return Buffer.from(uuid)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
