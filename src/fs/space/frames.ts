/**
 * The gigantic frames of a pool that are whole: aligned runs of as many blocks as one gigantic page has (512
 * for 1 GiB), of which no file owns a block. `Zones` keeps files without gigantic pages out of whole frames
 * as long as it can, so that a pool with pages of both sizes does not become fragmented. This class chooses
 * nothing.
 */
import type { Extent, FrameGrid } from '../../stores/store.ts'
import { CLEAN, isDirty } from './block-kinds.ts'

export class Frames {
  readonly count: number
  readonly #blocks: Uint8Array
  readonly #grid: FrameGrid
  /** Blocks that guest RAM may not have although they are free. */
  readonly #isBarred: (block: number) => boolean
  readonly #isWhole: Uint8Array
  /** Frames to be looked at again before the next answer. */
  readonly #stale = new Set<number>()

  /** `blocks` is the allocator's array, which it keeps up to date. */
  constructor(blocks: Uint8Array, grid: FrameGrid, isBarred: (block: number) => boolean) {
    this.#blocks = blocks
    this.#grid = grid
    this.#isBarred = isBarred
    this.count = Math.max(0, Math.floor((blocks.length - grid.first) / grid.blocks))
    this.#isWhole = new Uint8Array(this.count)
  }

  /** These blocks have changed. */
  changed({ start, count }: Extent): void {
    const [first, last] = [this.frameOf(start), this.frameOf(start + count - 1)]
    for (let frame = Math.max(first, 0); frame <= Math.min(last, this.count - 1); frame++)
      this.#stale.add(frame)
  }

  /**
   * The number of its frame; for blocks before the first and behind the last frame, a number that no frame
   * has.
   */
  frameOf(block: number): number {
    return Math.floor((block - this.#grid.first) / this.#grid.blocks)
  }

  extentOf(frame: number): Extent {
    return { start: this.#grid.first + frame * this.#grid.blocks, count: this.#grid.blocks }
  }

  /** Some block of `extent` lies in a whole frame. */
  touchesWhole({ start, count }: Extent): boolean {
    this.#look()
    const [first, last] = [this.frameOf(start), this.frameOf(start + count - 1)]
    return this.#isWhole.subarray(Math.max(first, 0), Math.max(last + 1, 0)).includes(1)
  }

  /** Whole frames, ascending. `clean`: those whose every block is clean. */
  *whole({ clean = false } = {}): IterableIterator<number> {
    this.#look()
    for (let frame = 0; frame < this.count; frame++)
      if (this.#isWhole[frame] === 1 && (!clean || this.#bytesOf(frame).every((block) => block === CLEAN)))
        yield frame
  }

  #look(): void {
    for (const frame of this.#stale) {
      const { start } = this.extentOf(frame)
      const isFree = (block: number, at: number) =>
        (block === CLEAN || isDirty(block)) && !this.#isBarred(start + at)
      this.#isWhole[frame] = this.#bytesOf(frame).every(isFree) ? 1 : 0
    }
    this.#stale.clear()
  }

  #bytesOf(frame: number): Uint8Array {
    const { start, count } = this.extentOf(frame)
    return this.#blocks.subarray(start, start + count)
  }
}
