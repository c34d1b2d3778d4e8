/**
 * The stated condition of unowned blocks as a map from ranges to states: the last statement about a block
 * holds. Clean is what a block is until something else is stated. Must not: record who owns blocks.
 */
import type { Extent } from '../../stores/store.ts'
import type { BlockState } from '../state/entry.ts'

export interface BlockRange {
  readonly extent: Extent
  readonly state: Exclude<BlockState, 'clean'>
}

const endOf = (range: BlockRange): number => range.extent.start + range.extent.count

export class BlockMap {
  /** Ascending, disjoint, neighbours of one state merged. */
  #ranges: BlockRange[] = []

  ranges(): readonly BlockRange[] {
    return this.#ranges
  }

  /**
   * State that the blocks of `extent` are `state` now. Returns the ranges it replaced and those that are
   * there instead, for a caller that keeps a sum over them.
   */
  set(extent: Extent, state: BlockState): { removed: readonly BlockRange[]; added: readonly BlockRange[] } {
    const end = extent.start + extent.count
    // Neighbours that only touch are taken in as well, so that equal ones merge.
    const first = this.#firstEndingAt(extent.start)
    let last = first
    while (last < this.#ranges.length && (this.#ranges[last] as BlockRange).extent.start <= end) last++
    const removed = this.#ranges.slice(first, last)
    const pieces: BlockRange[] = []
    for (const range of removed)
      addPiece(pieces, range.extent.start, Math.min(endOf(range), extent.start), range.state)
    if (state !== 'clean') addPiece(pieces, extent.start, end, state)
    for (const range of removed)
      addPiece(pieces, Math.max(range.extent.start, end), endOf(range), range.state)
    this.#ranges.splice(first, last - first, ...pieces)
    return { removed, added: pieces }
  }

  /** Index of the first range that ends at `block` or after it. */
  #firstEndingAt(block: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (endOf(this.#ranges[middle] as BlockRange) < block) low = middle + 1
      else high = middle
    }
    return low
  }
}

function addPiece(pieces: BlockRange[], start: number, end: number, state: BlockRange['state']): void {
  if (start >= end) return
  const before = pieces.at(-1)
  if (before !== undefined && before.state === state && endOf(before) === start) {
    pieces[pieces.length - 1] = {
      extent: { start: before.extent.start, count: end - before.extent.start },
      state,
    }
  } else pieces.push({ extent: { start, count: end - start }, state })
}
