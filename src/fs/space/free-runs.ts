/**
 * The search for N free blocks in a row: a binary tree over the pool in which each node stores the longest
 * free run below it and the free runs that touch its left and right edges. Marking a run and finding one cost
 * the depth of the tree, however full or scattered the pool is. Must not: depend on why a block is not free.
 */
import type { Extent } from '../../stores/store.ts'
import { BrokenInvariantError } from '../../values/errors.ts'

export class FreeRuns {
  /** By all trees of this process: what searches and marks have cost. */
  static nodesVisited = 0
  readonly #width: number
  /**
   * Node 1 is the whole pool, node n has the children 2n and 2n+1. Where a node is all free or all used, its
   * own values count, and those of its children may be former ones.
   */
  readonly #longest: Int32Array
  readonly #left: Int32Array
  readonly #right: Int32Array

  /** Every block begins as used. */
  constructor(totalBlocks: number) {
    this.#width = 2 ** Math.ceil(Math.log2(Math.max(totalBlocks, 1)))
    this.#longest = new Int32Array(2 * this.#width)
    this.#left = new Int32Array(2 * this.#width)
    this.#right = new Int32Array(2 * this.#width)
  }

  mark({ start, count }: Extent, free: boolean): void {
    this.#mark(1, 0, this.#width, start, start + count, free)
  }

  /** Those of `extent` for which `isFree` holds are free, all others of it are used. Costs its length. */
  markWhere({ start, count }: Extent, isFree: (block: number) => boolean): void {
    const end = start + count
    for (let at = start; at < end; ) {
      const free = isFree(at)
      const runStart = at
      for (at++; at < end && isFree(at) === free; ) at++
      this.mark({ start: runStart, count: at - runStart }, free)
    }
  }

  /** The lowest place where `count` blocks in a row are free. */
  firstFit(count: number): Extent | undefined {
    if (count < 1 || this.#at(this.#longest, 1) < count) return undefined
    let [node, from, length] = [1, 0, this.#width]
    while (this.#at(this.#longest, node) < length) {
      FreeRuns.nodesVisited++
      length /= 2
      const [leftChild, rightChild] = [2 * node, 2 * node + 1]
      if (this.#at(this.#longest, leftChild) >= count) node = leftChild
      else {
        const reach = this.#at(this.#right, leftChild)
        if (reach + this.#at(this.#left, rightChild) >= count) return { start: from + length - reach, count }
        node = rightChild
        from += length
      }
    }
    return { start: from, count }
  }

  /**
   * `count` free blocks, as many as there are at most: the lowest run that is long enough, otherwise the
   * longest runs there are, so that they are in few pieces. Reserves nothing.
   */
  choose(count: number): Extent[] {
    const chosen: Extent[] = []
    for (let left = count; left > 0; ) {
      const run = this.firstFit(left) ?? this.longest()
      if (!run) throw new BrokenInvariantError(`${left} of ${count} free blocks cannot be found`)
      // Marks the run used only to find the next one, and frees it below.
      this.mark(run, false)
      chosen.push(run)
      left -= run.count
    }
    for (const run of chosen) this.mark(run, true)
    return chosen
  }

  /** The highest free block below `end`. */
  lastBelow(end: number): number | undefined {
    return this.#lastBelow(1, 0, this.#width, end)
  }

  /** The lowest free run that begins at `from` or later, or what is left of the one that `from` lies in. */
  runFrom(from: number): Extent | undefined {
    const start = this.#next(1, 0, this.#width, from, true)
    if (start === undefined) return undefined
    const end = this.#next(1, 0, this.#width, start, false) ?? this.#width
    return { start, count: end - start }
  }

  /** The longest free run, the lowest of equals. */
  longest(): Extent | undefined {
    return this.firstFit(this.#at(this.#longest, 1))
  }

  /** The lowest block from `start` on that is free, or used. */
  #next(node: number, from: number, length: number, start: number, free: boolean): number | undefined {
    FreeRuns.nodesVisited++
    if (from + length <= start) return undefined
    const longest = this.#at(this.#longest, node)
    if (longest === (free ? 0 : length)) return undefined
    if (longest === (free ? length : 0)) return Math.max(from, start)
    const half = length / 2
    return (
      this.#next(2 * node, from, half, start, free) ??
      this.#next(2 * node + 1, from + half, half, start, free)
    )
  }

  #lastBelow(node: number, from: number, length: number, end: number): number | undefined {
    FreeRuns.nodesVisited++
    const longest = this.#at(this.#longest, node)
    if (longest === 0 || from >= end) return undefined
    if (longest === length) return Math.min(from + length, end) - 1
    const half = length / 2
    return this.#lastBelow(2 * node + 1, from + half, half, end) ?? this.#lastBelow(2 * node, from, half, end)
  }

  #mark(node: number, from: number, length: number, start: number, end: number, free: boolean): void {
    FreeRuns.nodesVisited++
    if (start <= from && from + length <= end) {
      this.#fill(node, free ? length : 0)
      return
    }
    const half = length / 2
    const middle = from + half
    const [leftChild, rightChild] = [2 * node, 2 * node + 1]
    const longest = this.#at(this.#longest, node)
    if (longest === 0 || longest === length) {
      this.#fill(leftChild, longest === 0 ? 0 : half)
      this.#fill(rightChild, longest === 0 ? 0 : half)
    }
    if (start < middle) this.#mark(leftChild, from, half, start, end, free)
    if (end > middle) this.#mark(rightChild, middle, half, start, end, free)

    const [leftLeft, leftRight] = [this.#at(this.#left, leftChild), this.#at(this.#right, leftChild)]
    const [rightLeft, rightRight] = [this.#at(this.#left, rightChild), this.#at(this.#right, rightChild)]
    const longestBelow = Math.max(this.#at(this.#longest, leftChild), this.#at(this.#longest, rightChild))
    this.#left[node] = leftLeft === half ? half + rightLeft : leftLeft
    this.#right[node] = rightRight === half ? half + leftRight : rightRight
    this.#longest[node] = Math.max(longestBelow, leftRight + rightLeft)
  }

  #fill(node: number, run: number): void {
    this.#longest[node] = this.#left[node] = this.#right[node] = run
  }

  #at(column: Int32Array, node: number): number {
    return column[node] as number
  }
}
