/**
 * The states of blocks that are not clean: runs of dirty and bad ones, ascending and as few as can be. A
 * block in none of them is clean. It holds neither the owners of blocks (inodes do) nor the size of the pool.
 */
import type { Extent } from '../../stores/store.ts'
import type { BlockState } from '../state/entry.ts'

export interface StatedRun extends Extent {
  readonly state: Exclude<BlockState, 'clean'>
}

export class BlockStates {
  #runs: StatedRun[] = []
  #badBlocks = 0

  /** How many blocks are bad, whether files own them or not. */
  get badBlocks(): number {
    return this.#badBlocks
  }

  get runCount(): number {
    return this.#runs.length
  }

  /** Ascending. */
  get runs(): readonly StatedRun[] {
    return this.#runs
  }

  /**
   * Replaces the states of these blocks. Returns the runs that were there and those that are there instead,
   * for a caller that keeps a sum over them.
   */
  set(extent: Extent, state: BlockState): { removed: readonly StatedRun[]; added: readonly StatedRun[] } {
    const end = extent.start + extent.count
    // Takes in one run to the left and one to the right where they touch, so that equal neighbours merge.
    const first = this.#indexAt(extent.start - 1)
    let last = first
    const pieces: StatedRun[] = []
    const add = (start: number, stop: number, of: StatedRun['state']) => {
      if (stop <= start) return
      const tail = pieces.at(-1)
      if (tail && tail.state === of && tail.start + tail.count === start)
        pieces[pieces.length - 1] = { start: tail.start, count: stop - tail.start, state: of }
      else pieces.push({ start, count: stop - start, state: of })
    }
    const after: StatedRun[] = []
    for (let run = this.#runs[last]; run && run.start <= end; run = this.#runs[++last]) {
      add(run.start, Math.min(run.start + run.count, extent.start), run.state)
      if (run.start + run.count > end) after.push(run)
    }
    if (state !== 'clean') add(extent.start, end, state)
    for (const run of after) add(Math.max(run.start, end), run.start + run.count, run.state)
    const removed = this.#runs.splice(first, last - first, ...pieces)
    this.#badBlocks += badBlocksOf(pieces) - badBlocksOf(removed)
    return { removed, added: pieces }
  }

  /** The first run that reaches beyond `block`, whole: the way to walk the runs while they change. */
  runBeyond(block: number): StatedRun | undefined {
    return this.#runs[this.#indexAt(block)]
  }

  /** The lowest run of one state. */
  first(state: StatedRun['state']): StatedRun | undefined {
    return this.#runs.find((run) => run.state === state)
  }

  /** The lowest part of `extent` that is in `state`. */
  firstIn({ start, count }: Extent, state: StatedRun['state']): Extent | undefined {
    const end = start + count
    for (let index = this.#indexAt(start); ; index++) {
      const run = this.#runs[index]
      if (!run || run.start >= end) return undefined
      if (run.state !== state) continue
      const from = Math.max(run.start, start)
      return { start: from, count: Math.min(run.start + run.count, end) - from }
    }
  }

  /** The parts of `extent` that are not in `state`, ascending. */
  without(extent: Extent, state: StatedRun['state']): Extent[] {
    const parts: Extent[] = []
    const end = extent.start + extent.count
    let at = extent.start
    for (let index = this.#indexAt(at); at < end; index++) {
      const run = this.#runs[index]
      if (run && run.start < end && run.state !== state) continue
      const stop = Math.min(run?.start ?? end, end)
      if (stop > at) parts.push({ start: at, count: stop - at })
      at = run ? Math.max(at, run.start + run.count) : end
    }
    return parts
  }

  /** Index of the first run whose end is greater than `block`. */
  #indexAt(block: number): number {
    let low = 0
    let high = this.#runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const run = this.#runs[middle] as StatedRun
      if (run.start + run.count <= block) low = middle + 1
      else high = middle
    }
    return low
  }
}

const badBlocksOf = (runs: readonly StatedRun[]): number =>
  runs.reduce((sum, { state, count }) => sum + (state === 'bad' ? count : 0), 0)
