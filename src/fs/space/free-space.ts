/**
 * Owns what the allocator asks of whatever knows where its free blocks are, and the plain way to know it: any file
 * may have any block. Pools that keep ordinary files apart have `Zones` instead.
 */
import type { Extent } from '../../stores/store.ts'
import { cleanRuns, type Tally } from './block-kinds.ts'
import { FreeRuns } from './free-runs.ts'

/** Which kind of file wants blocks, and of what shape. */
export interface Use {
  readonly guestRam: boolean
  /** Gigantic frames, each as a whole. */
  readonly inFrames?: boolean
  /** One run of blocks; `after`: the one that begins there, since the file ends there. */
  readonly contiguous?: { readonly after: number | undefined } | undefined
}

export interface FreeSpace {
  /** These blocks are not what they were: look at them again. */
  changed(extent: Extent): void
  /** Blocks that such a file may have: at once, and once they are zeroed. */
  available(use: Use): Pick<Tally, 'clean' | 'dirty'>
  /** `count` clean blocks, as many as are available at most. Reserves nothing. */
  choose(count: number, use: Use): Extent[]
  /**
   * For a use that wants frames or one piece: `count` blocks that are that. `dirtyToo`: blocks that could be had once they are
   * zeroed count as well. undefined: there are none. Reserves nothing.
   */
  chooseShaped(count: number, use: Use, options: { readonly dirtyToo: boolean }): Extent[] | undefined
  /**
   * Blocks that such a file could have at once would break more gigantic frames than those it could have once dirty blocks
   * outside of them are zeroed.
   */
  shouldWait(count: number, use: Use): boolean
  /** What lies outside of whole gigantic frames, ascending: zeroed first. None where there are no frames. */
  outsideFrames(): readonly Extent[]
  /** Gigantic frames of which no file owns a block. */
  readonly wholeFrames: number
  /** Where the next chunk will be made: zeroed first, so that it is made there. undefined: no chunks, or no room for one. */
  nextDataChunk(): Extent | undefined
  /** The beginning of `extent`, as far as it lies in one chunk or outside of all. */
  inOneZone(extent: Extent): Extent
}

export class OneZone implements FreeSpace {
  readonly #blocks: Uint8Array
  readonly #counts: Tally
  readonly #runs: FreeRuns

  /** `blocks` and `counts` are the allocator's own, and kept by it. */
  constructor(blocks: Uint8Array, counts: Tally) {
    this.#blocks = blocks
    this.#counts = counts
    this.#runs = new FreeRuns(blocks.length)
  }

  changed(extent: Extent): void {
    this.#runs.mark(extent, false)
    for (const run of cleanRuns(this.#blocks, extent)) this.#runs.mark(run, true)
  }

  available(): Tally {
    return this.#counts
  }

  choose(count: number): Extent[] {
    return this.#runs.choose(count)
  }

  /** Memory that is not ours to place has no shape. */
  chooseShaped(): undefined {}

  readonly wholeFrames = 0

  shouldWait(): boolean {
    return false
  }

  outsideFrames(): readonly Extent[] {
    return []
  }

  nextDataChunk(): undefined {}

  inOneZone(extent: Extent): Extent {
    return extent
  }
}
