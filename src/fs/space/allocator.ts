/**
 * What each block of the pool is right now: owned by a file, clean, dirty or bad; exact counts of each; and
 * the choice of blocks for a growing file. It follows the state's tables (its caller passes what inodes own
 * and what is stated about blocks) and never changes them: choosing reserves nothing.
 */
import type { Extent, FrameGrid } from '../../stores/store.ts'
import { ENOSPC } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { type Refusal, WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import type { BlockState } from '../state/entry.ts'
import {
  CLEAN,
  cleanRuns,
  disowned,
  isDirty,
  isOwned,
  kindOf,
  noBlocks,
  owned,
  stated,
  type Tally,
} from './block-kinds.ts'
import { countBlocks } from './extents.ts'
import { FreeRuns } from './free-runs.ts'
import { type FreeSpace, OneZone, type Use } from './free-space.ts'
import { Zones } from './zones.ts'

export interface BlockCounts {
  readonly total: number
  readonly owned: number
  readonly clean: number
  readonly dirty: number
  readonly bad: number
}

export class Allocator {
  #blocks: Uint8Array
  readonly #counts: Tally
  #space: FreeSpace
  /** The same again, where the store has zones. */
  readonly #zones: Zones | undefined

  /** A pool of clean blocks. `chunkBlocks`, `frames`: as the store has them. */
  constructor(totalBlocks: number, chunkBlocks: number | undefined, frames?: FrameGrid) {
    this.#blocks = new Uint8Array(totalBlocks)
    this.#counts = { ...noBlocks(), clean: totalBlocks }
    this.#zones = chunkBlocks === undefined ? undefined : new Zones(this.#blocks, chunkBlocks, frames)
    this.#space = this.#zones ?? new OneZone(this.#blocks, this.#counts)
    this.#space.changed({ start: 0, count: totalBlocks })
  }

  /**
   * The pool has so many blocks from now on: new ones are clean, and removed ones must be clean and without
   * an owner. Costs the size of the pool. Must not be called where there are zones.
   */
  resize(totalBlocks: number): void {
    const before = this.#blocks
    if (this.#zones !== undefined || before.subarray(totalBlocks).some((block) => block !== CLEAN))
      throw new BrokenInvariantError(`a pool of ${before.length} blocks is cut to ${totalBlocks}`)
    this.#blocks = new Uint8Array(totalBlocks)
    this.#blocks.set(before.subarray(0, totalBlocks))
    this.#counts.clean += totalBlocks - before.length
    this.#space = new OneZone(this.#blocks, this.#counts)
    this.#space.changed({ start: 0, count: totalBlocks })
  }

  /** The clean blocks below `end` that no file owns, and how many; valid until a block changes. */
  cleanBelow(end: number): { runs: FreeRuns; count: number } {
    const runs = new FreeRuns(end)
    const clean = cleanRuns(this.#blocks, { start: 0, count: end })
    for (const run of clean) runs.mark(run, true)
    return { runs, count: countBlocks(clean) }
  }

  get counts(): BlockCounts {
    const { ordinary, guestRam, ...unowned } = this.#counts
    return { total: this.#blocks.length, owned: ordinary + guestRam, ...unowned }
  }

  /** How many more blocks a file could have, now or once they are zeroed. */
  freeFor(use: Use): number {
    const { clean, dirty } = this.#space.available(use)
    return clean + dirty
  }

  /** Gigantic frames of which no file owns a block. */
  get wholeFrames(): number {
    return this.#zones?.wholeFrames ?? 0
  }

  /** A file owns these blocks from now on. They were clean, or the state contradicts itself. */
  own(extent: Extent, { guestRam }: Use): void {
    this.#update(extent, (block, at) => {
      if (block !== CLEAN) throw new BrokenInvariantError(`block ${at} is owned, and was not clean before`)
      return owned(block, guestRam)
    })
  }

  /** No file owns these blocks any more: they are in the state that was last stated for them. */
  disown(extent: Extent): void {
    this.#update(extent, (block, at) => {
      if (!isOwned(block)) throw new BrokenInvariantError(`block ${at} is disowned, and had no owner`)
      return disowned(block)
    })
  }

  /** States what these blocks are, owned or not. */
  state(extent: Extent, state: BlockState): void {
    this.#update(extent, (block) => stated(block, state))
  }

  /**
   * Blocks for a file to grow by: the lowest run that is long enough, otherwise the longest runs there are,
   * so that a file has few extents; where there are zones, or the use requires a shape, as `Zones` chooses.
   * All or nothing.
   * Errors: ENOSPC; WAIT_FOR_ZEROING.
   */
  choose(count: number, use: Use): Extent[] | Refusal {
    const { clean, dirty } = this.#space.available(use)
    if (count > 0 && count <= clean + dirty && (use.inFrames || use.contiguous))
      return this.#shaped(count, use)
    if (count > clean) return count > clean + dirty ? ENOSPC : WAIT_FOR_ZEROING
    if (count === 0) return []
    return this.#zones?.shouldWait(count, use) ? WAIT_FOR_ZEROING : this.#space.choose(count, use)
  }

  #shaped(count: number, use: Use): Extent[] | Refusal {
    const isThere = (dirtyToo: boolean) => this.#zones?.chooseShaped(count, use, { dirtyToo })
    return isThere(false) ?? (isThere(true) ? WAIT_FOR_ZEROING : ENOSPC)
  }

  /** True when every one of these blocks is dirty and has no owner. */
  isDirty({ start, count }: Extent): boolean {
    return this.#blocks.subarray(start, start + count).every(isDirty)
  }

  /** Where the next chunk will be made. undefined: no data chunks here, or no room for one. */
  nextDataChunk(): Extent | undefined {
    return this.#zones?.nextDataChunk()
  }

  /** What the worker zeroes after that: the first dirty blocks from `from` on outside of whole frames. */
  dirtyOutsideFrames(from: number): Extent | undefined {
    return this.#zones?.dirtyOutsideFrames(from)
  }

  /** The beginning of `extent`, as far as it lies in one chunk or outside of all. */
  inOneZone(extent: Extent): Extent {
    return this.#zones?.inOneZone(extent) ?? extent
  }

  #update(extent: Extent, change: (block: number, at: number) => number): void {
    const { start, count } = extent
    if (start < 0 || start + count > this.#blocks.length)
      throw new BrokenInvariantError(
        `blocks ${start}+${count} do not lie in a pool of ${this.#blocks.length}`,
      )
    if (count === 0) return
    for (let at = start; at < start + count; at++) {
      const before = this.#blocks[at] as number
      const after = change(before, at)
      this.#blocks[at] = after
      this.#counts[kindOf(before)]--
      this.#counts[kindOf(after)]++
    }
    this.#space.changed(extent)
  }
}
