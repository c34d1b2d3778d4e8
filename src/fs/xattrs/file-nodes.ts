/**
 * Which memory nodes (NUMA) a file of a region lies in, by the blocks that it has. Of a pool of memfds the
 * file system does not know it: the kernel chooses a node for each page.
 */
import { BLOCK_BYTES, type NodePart } from '../../stores/store.ts'
import { ROOT_INO } from '../../values/ids.ts'
import type { Inode } from '../state/inode.ts'
import type { Volume } from '../state/volume.ts'

/** Ascending; of the root directory those of the whole pool. Empty: not known, or it has no memory. */
export function nodesOf({ store }: Pick<Volume, 'store'>, { ino, extents }: Inode): number[] {
  const { place } = store.descriptor
  const parts = place?.nodes ?? []
  const all = new Set(parts.map(({ node }) => node))
  if (ino === ROOT_INO || (all.size === 1 && extents.length > 0)) return ascending(all)
  const found = new Set<number>()
  for (const { start, count } of extents) {
    const first = (place?.start ?? 0) + start * BLOCK_BYTES
    for (const part of parts) if (isIn(part, first, first + count * BLOCK_BYTES)) found.add(part.node)
    if (found.size === all.size) break
  }
  return ascending(found)
}

const isIn = (part: NodePart, start: number, end: number): boolean =>
  part.start < end && start < part.start + part.lengthBytes

const ascending = (nodes: ReadonlySet<number>): number[] => [...nodes].toSorted((a, b) => a - b)
