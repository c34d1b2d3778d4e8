/**
 * The gigantic frames of a pool that are whole: aligned runs of as many blocks as one gigantic page has (512
 * for 1 GiB), of which no file owns a block. `Zones` keeps files without gigantic pages out of whole frames
 * as long as it can, so that a pool with pages of both sizes does not become fragmented. This class chooses
 * nothing. A change costs the frames that it lies in, a question nothing more in a large pool.
 */
import type { Extent, FrameGrid } from '../../stores/store.ts'
import { CLEAN, isDirty } from './block-kinds.ts'
import { FreeRuns } from './free-runs.ts'

const NOT_WHOLE = -1

export class Frames {
  readonly #count: number
  readonly #blocks: Uint8Array
  readonly #grid: FrameGrid
  readonly #isBarred: (extent: Extent) => boolean
  /** Of each frame: its clean blocks, or NOT_WHOLE. */
  readonly #clean: Int32Array
  /** Numbers of the frames that are whole, and of those whose every block is clean. */
  readonly #whole: FreeRuns
  readonly #wholeAndClean: FreeRuns
  #wholeCount = 0
  #cleanInWhole = 0

  /**
   * `blocks` is the allocator's array, which it keeps up to date. `isBarred`: guest RAM may not have a block
   * of these although it is free.
   */
  constructor(blocks: Uint8Array, grid: FrameGrid, isBarred: (extent: Extent) => boolean) {
    this.#blocks = blocks
    this.#grid = grid
    this.#isBarred = isBarred
    this.#count = Math.max(0, Math.floor((blocks.length - grid.first) / grid.blocks))
    this.#clean = new Int32Array(this.#count).fill(NOT_WHOLE)
    this.#whole = new FreeRuns(this.#count)
    this.#wholeAndClean = new FreeRuns(this.#count)
  }

  get frameBlocks(): number {
    return this.#grid.blocks
  }

  get wholeCount(): number {
    return this.#wholeCount
  }

  /** Blocks in whole frames. */
  get inWhole(): { readonly clean: number; readonly dirty: number } {
    const clean = this.#cleanInWhole
    return { clean, dirty: this.#wholeCount * this.#grid.blocks - clean }
  }

  /** How many whole frames a file of so many blocks breaks, with `free` blocks outside of them. */
  broken(count: number, free: number): number {
    return this.#wholeCount === 0 ? 0 : Math.ceil(Math.max(0, count - free) / this.#grid.blocks)
  }

  /**
   * These blocks have changed. Returns the frames that are whole now and were not, or the other way round.
   */
  changed({ start, count }: Extent): Extent[] {
    const [first, last] = [this.#frameOf(start), this.#frameOf(start + count - 1)]
    const turned: Extent[] = []
    for (let frame = Math.max(first, 0); frame <= Math.min(last, this.#count - 1); frame++) {
      const before = this.#clean[frame] as number
      const after = this.#look(frame)
      if (before === after) continue
      if ((before === NOT_WHOLE) !== (after === NOT_WHOLE)) turned.push(this.#extentOf(frame))
      this.#set(frame, before, after)
    }
    return turned
  }

  #set(frame: number, before: number, after: number): void {
    this.#clean[frame] = after
    this.#wholeCount += Number(after !== NOT_WHOLE) - Number(before !== NOT_WHOLE)
    this.#cleanInWhole += Math.max(after, 0) - Math.max(before, 0)
    this.#whole.mark({ start: frame, count: 1 }, after !== NOT_WHOLE)
    this.#wholeAndClean.mark({ start: frame, count: 1 }, after === this.#grid.blocks)
  }

  /** The end of the frame that `block` lies in, and whether it is whole; of what is in no frame, its end. */
  pieceAt(block: number): { readonly end: number; readonly isWhole: boolean } {
    const frame = this.#frameOf(block)
    if (frame < 0) return { end: this.#grid.first, isWhole: false }
    if (frame >= this.#count) return { end: this.#blocks.length, isWhole: false }
    const { start, count } = this.#extentOf(frame)
    return { end: start + count, isWhole: this.#clean[frame] !== NOT_WHOLE }
  }

  /** Some block of `extent` lies in a whole frame. */
  touchesWhole({ start, count }: Extent): boolean {
    for (let at = start; at < start + count; ) {
      const { end, isWhole } = this.pieceAt(at)
      if (isWhole) return true
      at = end
    }
    return false
  }

  /** Whole frames, ascending, neighbours as one extent. `clean`: those whose every block is clean. */
  *whole({ clean }: { clean: boolean }): IterableIterator<Extent> {
    const among = clean ? this.#wholeAndClean : this.#whole
    for (let run = among.runFrom(0); run; run = among.runFrom(run.start + run.count))
      yield { start: this.#extentOf(run.start).start, count: run.count * this.#grid.blocks }
  }

  #look(frame: number): number {
    const extent = this.#extentOf(frame)
    let clean = 0
    for (let at = extent.start; at < extent.start + extent.count; at++) {
      const block = this.#blocks[at] as number
      if (block === CLEAN) clean++
      else if (!isDirty(block)) return NOT_WHOLE
    }
    return this.#isBarred(extent) ? NOT_WHOLE : clean
  }

  /** For blocks before the first and behind the last frame, a number that no frame has. */
  #frameOf(block: number): number {
    return Math.floor((block - this.#grid.first) / this.#grid.blocks)
  }

  #extentOf(frame: number): Extent {
    return { start: this.#grid.first + frame * this.#grid.blocks, count: this.#grid.blocks }
  }
}
