/** The `guestmemfs.*` xattrs of a file. */
import { BLOCK_BYTES, type Extent } from '../../stores/store.ts'
import { MAP_KINDS, type Mapping } from '../../values/mapping.ts'
import { countBlocks } from '../space/extents.ts'
import { type Inode, objectOf } from '../state/inode.ts'
import type { Volume } from '../state/volume.ts'
import { nodesOf } from './file-nodes.ts'

/** As many extents of 16-digit numbers as fit into 64 KiB of JSON. */
const EXTENTS_PER_PAGE = 600

/**
 * Where each page begins in the file, in blocks: of each list of extents that a page was asked of. A list is
 * never changed, and is gone with the file or at its next resize.
 */
const pageStarts = new WeakMap<readonly Extent[], number[]>()

function pageStart(extents: readonly Extent[], page: number): number {
  let starts = pageStarts.get(extents)
  if (starts === undefined) {
    starts = [0]
    for (let first = 0; first + EXTENTS_PER_PAGE < extents.length; first += EXTENTS_PER_PAGE)
      starts.push((starts.at(-1) ?? 0) + countBlocks(extents.slice(first, first + EXTENTS_PER_PAGE)))
    pageStarts.set(extents, starts)
  }
  return starts[page] ?? 0
}

/**
 * `guestmemfs.extents`: which blocks of the pool hold the file, in file order, in bytes. A page costs what it
 * lists, but the first one after a resize: a file of a terabyte may have many pages, and every user who may
 * read it may read each of them without a pause. undefined: there is no such page.
 */
export function describeExtents({ extents }: Inode, page: number): object[] | undefined {
  const first = page * EXTENTS_PER_PAGE
  if (page > 0 && first >= extents.length) return undefined
  let fileOffsetBytes = page === 0 ? 0 : pageStart(extents, page) * BLOCK_BYTES
  return extents.slice(first, first + EXTENTS_PER_PAGE).map(({ start, count }) => {
    const extent = { fileOffsetBytes, poolOffsetBytes: start * BLOCK_BYTES, lengthBytes: count * BLOCK_BYTES }
    fileOffsetBytes += extent.lengthBytes
    return extent
  })
}

/**
 * `guestmemfs.map`: what to open, at which offset, to map the file. Never a descriptor number: it would be
 * valid in this process alone. `awaited` (memory state `incoming`): the former kernel preserved it, and an
 * open waits until it is retrieved; `lost`: it can only be emptied or deleted. `nodes`: the memory nodes that
 * it lies in, where they are known.
 */
export function describeMap(volume: Volume, inode: Inode): object {
  const { sizeBytes } = inode
  const state = volume.store.state(objectOf(inode))
  if (state === 'incoming' || state === 'lost')
    return { kind: MAP_KINDS[state], sizeBytes, alignBytes: BLOCK_BYTES }
  const mapping = volume.store.ram.mapping(objectOf(inode), inode)
  const nodes = nodesOf(volume, inode)
  return {
    kind: MAP_KINDS[mapping.via],
    ...placeOf(mapping),
    sizeBytes,
    alignBytes: pageBytes(volume, inode),
    ...(nodes.length > 0 && { nodes }),
  }
}

/** The alignment that a mapping of the file needs to get the largest pages it can have. */
function pageBytes({ store }: Volume, { gigantic }: Inode): number {
  const { frames } = store.descriptor.rules
  return gigantic && frames !== undefined ? frames.blocks * BLOCK_BYTES : BLOCK_BYTES
}

function placeOf(mapping: Mapping): object {
  switch (mapping.via) {
    case 'dax-node':
      return { path: mapping.path, ...mapping.device }
    case 'devmem':
      return { path: mapping.path, offsetBytes: mapping.offsetBytes }
    case 'passthrough':
    case 'none':
      return {}
    default:
      return mapping satisfies never
  }
}
