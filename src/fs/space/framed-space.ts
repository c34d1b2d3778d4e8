/**
 * The free blocks of a pool with gigantic frames, told apart by whether they lie in a whole frame: a file
 * that needs no frames breaks as few of them as it can. `Zones` decides which blocks guest RAM may have.
 */
import type { Extent, FrameGrid } from '../../stores/store.ts'
import { CLEAN, isDirty, type Tally } from './block-kinds.ts'
import { countBlocks, joinExtents } from './extents.ts'
import { Frames } from './frames.ts'
import { FreeRuns } from './free-runs.ts'

/** What guest RAM could have in the whole pool. */
type Available = Pick<Tally, 'clean' | 'dirty'>

export class FramedSpace {
  readonly #blocks: Uint8Array
  readonly #frames: Frames
  readonly #isInDataChunk: (block: number) => boolean
  /** Clean blocks that guest RAM may have, in whole frames and outside of them. */
  readonly #inWhole: FreeRuns
  readonly #outside: FreeRuns
  /** Dirty blocks outside of whole frames, whichever kind of file may have them. */
  readonly #dirtyOutside: FreeRuns

  /** `blocks` is the allocator's array. `touchesDataChunk`: a block of the extent lies in a data chunk. */
  constructor(
    blocks: Uint8Array,
    grid: FrameGrid,
    touchesDataChunk: (extent: Extent) => boolean,
    isInDataChunk: (block: number) => boolean,
  ) {
    this.#blocks = blocks
    this.#frames = new Frames(blocks, grid, touchesDataChunk)
    this.#isInDataChunk = isInDataChunk
    this.#inWhole = new FreeRuns(blocks.length)
    this.#outside = new FreeRuns(blocks.length)
    this.#dirtyOutside = new FreeRuns(blocks.length)
  }

  get wholeCount(): number {
    return this.#frames.wholeCount
  }

  touchesWhole(extent: Extent): boolean {
    return this.#frames.touchesWhole(extent)
  }

  /**
   * These blocks have changed, or whether they lie in a data chunk. Returns what lies in another kind of
   * frame than before.
   */
  changed(extent: Extent): readonly Extent[] {
    const turned = this.#frames.changed(extent)
    for (const each of [extent, ...turned]) this.#mark(each)
    return turned
  }

  #mark({ start, count }: Extent): void {
    for (let at = start; at < start + count; ) {
      const { end, isWhole } = this.#frames.pieceAt(at)
      const piece = { start: at, count: Math.min(end, start + count) - at }
      const [mine, other] = isWhole ? [this.#inWhole, this.#outside] : [this.#outside, this.#inWhole]
      other.mark(piece, false)
      mine.markWhere(piece, (block) => this.#blocks[block] === CLEAN && !this.#isInDataChunk(block))
      this.#dirtyOutside.markWhere(piece, (block) => !isWhole && isDirty(this.#blocks[block] as number))
      at = piece.start + piece.count
    }
  }

  /**
   * Blocks that are free outside of whole frames first, if that saves breaking one; undefined where it does
   * not. The frames that are broken are the lowest.
   */
  chooseSparing(count: number, available: Available): Extent[] | undefined {
    const { clean } = this.#outsideOf(available)
    if (this.#frames.broken(count, clean) === this.#frames.broken(count, 0)) return undefined
    const chosen = this.#outside.choose(Math.min(count, clean))
    return joinExtents(chosen, this.#inWhole.choose(count - countBlocks(chosen)))
  }

  /**
   * True when the blocks that such a file could have at once would break more frames than those it could have
   * once the worker has zeroed the dirty blocks outside of them.
   */
  shouldWait(count: number, available: Available): boolean {
    const { clean, dirty } = this.#outsideOf(available)
    return this.#frames.broken(count, clean + dirty) < this.#frames.broken(count, clean)
  }

  #outsideOf({ clean, dirty }: Available): Available {
    const { inWhole } = this.#frames
    return { clean: clean - inWhole.clean, dirty: dirty - inWhole.dirty }
  }

  /** `count` blocks in whole frames, the lowest. undefined: there are none. Reserves nothing. */
  chooseFrames(count: number, { dirtyToo }: { dirtyToo: boolean }): Extent[] | undefined {
    const chosen: Extent[] = []
    let left = count
    for (const run of this.#frames.whole({ clean: !dirtyToo })) {
      chosen.push({ start: run.start, count: Math.min(run.count, left) })
      left -= run.count
      if (left <= 0) break
    }
    // Part of a frame is no gigantic page.
    return left <= 0 && count % this.#frames.frameBlocks === 0 ? joinExtents([], chosen) : undefined
  }

  /** The first dirty blocks outside of whole frames from block `from` on: the worker zeroes those first. */
  dirtyOutside(from: number): Extent | undefined {
    return this.#dirtyOutside.runFrom(from)
  }
}
