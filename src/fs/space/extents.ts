/**
 * The arithmetic of lists of extents: how many blocks, joining two lists, cutting one. It allocates nothing.
 */
import { BLOCK_BYTES, type Extent } from '../../stores/store.ts'

/** How many blocks a file of this many bytes owns: its last block is its own, whole. */
export const blocksFor = (sizeBytes: number): number => Math.ceil(sizeBytes / BLOCK_BYTES)

export const countBlocks = (extents: readonly Extent[]): number =>
  extents.reduce((sum, extent) => sum + extent.count, 0)

/** `head` and then `tail`, with extents that touch made one. */
export function joinExtents(head: readonly Extent[], tail: readonly Extent[]): Extent[] {
  const joined: Extent[] = []
  for (const extent of [...head, ...tail]) {
    const last = joined.at(-1)
    if (last && last.start + last.count === extent.start)
      joined[joined.length - 1] = { start: last.start, count: last.count + extent.count }
    else joined.push(extent)
  }
  return joined
}

/** The first `keepBlocks` blocks of a file, and the rest. */
export function cutExtents(
  extents: readonly Extent[],
  keepBlocks: number,
): { kept: Extent[]; freed: Extent[] } {
  const kept: Extent[] = []
  const freed: Extent[] = []
  let left = keepBlocks
  for (const { start, count } of extents) {
    const keep = Math.min(left, count)
    if (keep > 0) kept.push({ start, count: keep })
    if (keep < count) freed.push({ start: start + keep, count: count - keep })
    left -= keep
  }
  return { kept, freed }
}

/** How many blocks, from the beginning, two files have in common. */
export function commonBlocks(a: readonly Extent[], b: readonly Extent[]): number {
  if (a === b) return countBlocks(a)
  let common = 0
  for (const [index, one] of a.entries()) {
    const other = b[index]
    if (other?.start !== one.start) break
    common += Math.min(one.count, other.count)
    if (one.count !== other.count) break
  }
  return common
}
