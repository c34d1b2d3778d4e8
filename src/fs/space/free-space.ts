/**
 * How the allocator finds free blocks, and the plain implementation: any file may have any block. Pools that
 * keep ordinary files apart have `Zones` instead.
 */
import type { Extent } from '../../stores/store.ts'
import { cleanRuns, type Tally } from './block-kinds.ts'
import { FreeRuns } from './free-runs.ts'

/** The kind of file that blocks are for, and the shape that they must have. Only `Zones` supports shapes. */
export interface Use {
  readonly guestRam: boolean
  /** Gigantic frames, each as a whole. */
  readonly inFrames?: boolean
  /** One run of blocks; `after`: the run must begin there, where the file ends. */
  readonly contiguous?: { readonly after: number | undefined } | undefined
}

export interface FreeSpace {
  /** These blocks have changed. */
  changed(extent: Extent): void
  /** Blocks that such a file may have: at once, and once they are zeroed. */
  available(use: Use): Pick<Tally, 'clean' | 'dirty'>
  /** `count` clean blocks, as many as are available at most. Reserves nothing. */
  choose(count: number, use: Use): Extent[]
}

export class OneZone implements FreeSpace {
  readonly #blocks: Uint8Array
  readonly #counts: Tally
  readonly #runs: FreeRuns

  /** `blocks` and `counts` are the allocator's, which keeps them up to date. */
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
}
