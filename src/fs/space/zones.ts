/**
 * The free blocks of a pool that keeps ordinary files and guest RAM apart. The pool is cut into aligned
 * chunks; one with a block of an ordinary file is a data chunk. Ordinary files take the free blocks of data
 * chunks first, and then whole chunks without guest RAM from the top of the pool, which become data chunks;
 * guest RAM takes the lowest blocks outside of data chunks. So both grow towards each other, and few chunks
 * hold ordinary files.
 *
 * Where the pool has gigantic frames, a file that needs none breaks as few of them as it can.
 *
 * The role of a chunk follows from its blocks alone: a chunk whose last ordinary block was freed is open
 * again.
 */
import type { Extent, FrameGrid } from '../../stores/store.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { CLEAN, cleanRuns, isDirty, noBlocks, type Tally, tally } from './block-kinds.ts'
import { countBlocks, joinExtents } from './extents.ts'
import { FramedSpace } from './framed-space.ts'
import { FreeRuns } from './free-runs.ts'
import type { FreeSpace, Use } from './free-space.ts'
import { OpenChunks } from './open-chunks.ts'

/** `open`: no file owns a block of it, so it can become either. */
type Role = 'data' | 'guestRam' | 'open'

export class Zones implements FreeSpace {
  readonly #blocks: Uint8Array
  readonly #chunkBlocks: number
  /** What each chunk holds, by its number. */
  readonly #tallies: Tally[]
  readonly #isData: Uint8Array
  /** What all chunks of a role hold. */
  readonly #sums: Record<Role, Tally> = { data: noBlocks(), guestRam: noBlocks(), open: noBlocks() }
  /** Clean blocks inside and outside of data chunks. */
  readonly #inDataChunks: FreeRuns
  readonly #outside: FreeRuns
  /** Clean and dirty blocks outside of data chunks. */
  readonly #outsideOnceZeroed: FreeRuns
  /** The open chunks that have a clean block; that have a clean or a dirty one. */
  readonly #openClean: OpenChunks
  readonly #openFree: OpenChunks
  /** Where the pool has gigantic frames. */
  readonly #framed: FramedSpace | undefined
  /** What `nextDataChunk` last returned; undefined: to be computed again. */
  #nextDataChunk: { readonly extent: Extent | undefined } | undefined

  /** `blocks` is the allocator's array, which it keeps up to date. */
  constructor(blocks: Uint8Array, chunkBlocks: number, frames?: FrameGrid) {
    this.#blocks = blocks
    this.#chunkBlocks = chunkBlocks
    const chunks = Math.ceil(blocks.length / chunkBlocks)
    this.#tallies = Array.from({ length: chunks }, noBlocks)
    this.#isData = new Uint8Array(chunks)
    this.#inDataChunks = new FreeRuns(blocks.length)
    this.#outside = new FreeRuns(blocks.length)
    this.#outsideOnceZeroed = new FreeRuns(blocks.length)
    this.#openClean = new OpenChunks(chunks)
    this.#openFree = new OpenChunks(chunks)
    this.#framed =
      frames &&
      new FramedSpace(
        blocks,
        frames,
        (extent) => this.#chunksOf(extent).some((chunk) => this.#isDataChunk(chunk)),
        (block) => this.#isDataChunk(this.#chunkOf(block)),
      )
  }

  changed(extent: Extent): void {
    this.#nextDataChunk = undefined
    const chunks = this.#chunksOf(extent)
    // What else lies in a chunk changes with its role alone: a file of many pieces costs its pieces.
    const hasTurned = chunks.map((chunk) => this.#settle(chunk)).includes(true)
    const marked = hasTurned ? this.#wholeChunks(chunks) : extent
    this.#mark(marked)
    const turned = this.#framed?.changed(marked) ?? []
    const placed = new Set([...chunks, ...turned.flatMap((frame) => this.#chunksOf(frame))])
    for (const chunk of placed) this.#place(chunk)
  }

  /** `chunks`: neighbours. */
  #wholeChunks(chunks: readonly number[]): Extent {
    const [first, last] = [this.#extentOf(chunks[0] as number), this.#extentOf(chunks.at(-1) as number)]
    return { start: first.start, count: last.start + last.count - first.start }
  }

  #mark({ start, count }: Extent): void {
    const isClean = (block: number) => this.#blocks[block] === CLEAN
    const isFree = (block: number) => isClean(block) || isDirty(this.#blocks[block] as number)
    for (let at = start; at < start + count; ) {
      const zone = this.#alike({ start: at, count: start + count - at })
      const isData = this.#isDataChunk(this.#chunkOf(at))
      const [mine, other] = isData ? [this.#inDataChunks, this.#outside] : [this.#outside, this.#inDataChunks]
      mine.markWhere(zone, isClean)
      other.mark(zone, false)
      if (isData) this.#outsideOnceZeroed.mark(zone, false)
      else this.#outsideOnceZeroed.markWhere(zone, isFree)
      at += zone.count
    }
  }

  /** The beginning of `extent`, as far as it lies in data chunks or outside of all. */
  #alike({ start, count }: Extent): Extent {
    let chunk = this.#chunkOf(start)
    const isData = this.#isDataChunk(chunk)
    while (this.#endOf(chunk) < start + count && this.#isDataChunk(chunk + 1) === isData) chunk++
    return { start, count: Math.min(start + count, this.#endOf(chunk)) - start }
  }

  available({ guestRam }: Use): Pick<Tally, 'clean' | 'dirty'> {
    const { open, data, guestRam: ram } = this.#sums
    const own = guestRam ? ram : data
    return { clean: open.clean + own.clean, dirty: open.dirty + own.dirty }
  }

  choose(count: number, use: Use): Extent[] {
    if (use.guestRam)
      return this.#framed?.chooseSparing(count, this.available(use)) ?? this.#outside.choose(count)
    const chosen = this.#inDataChunks.choose(Math.min(count, this.#sums.data.clean))
    let left = count - countBlocks(chosen)
    if (left === 0) return chosen
    const fresh: Extent[] = []
    for (const chunk of this.#openClean.fromTop()) {
      if (left === 0) break
      for (const run of cleanRuns(this.#blocks, this.#extentOf(chunk))) {
        const taken = Math.min(run.count, left)
        if (taken > 0) fresh.push({ start: run.start, count: taken })
        left -= taken
      }
    }
    if (left > 0)
      throw new BrokenInvariantError(`${count} clean blocks are counted, ${left} of them cannot be found`)
    return joinExtents(
      chosen,
      fresh.sort((a, b) => a.start - b.start),
    )
  }

  /** Gigantic frames of which no file owns a block. */
  get wholeFrames(): number {
    return this.#framed?.wholeCount ?? 0
  }

  /**
   * Where the next data chunk will be made: the worker zeroes it first, so that it is made there. undefined:
   * there is no room for one.
   */
  nextDataChunk(): Extent | undefined {
    // The server asks after every request, and the answer is the same until a block changes.
    if (this.#nextDataChunk === undefined) {
      const [chunk] = this.#openFree.fromTop()
      this.#nextDataChunk = { extent: chunk === undefined ? undefined : this.#extentOf(chunk) }
    }
    return this.#nextDataChunk.extent
  }

  /**
   * For a use that requires frames or one run: `count` blocks in that shape. `dirtyToo`: blocks that could be
   * had once they are zeroed count as well. undefined: there are none. Reserves nothing.
   */
  chooseShaped(count: number, use: Use, { dirtyToo }: { dirtyToo: boolean }): Extent[] | undefined {
    return use.inFrames
      ? this.#framed?.chooseFrames(count, { dirtyToo })
      : this.#chooseContiguous(count, use, dirtyToo)
  }

  #chooseContiguous(count: number, { contiguous }: Use, dirtyToo: boolean): Extent[] | undefined {
    const runs = dirtyToo ? this.#outsideOnceZeroed : this.#outside
    const after = contiguous?.after
    const run = after === undefined ? runs.firstFit(count) : runs.runFrom(after)
    if (run === undefined || run.count < count) return undefined
    return after === undefined || run.start === after ? [{ start: run.start, count }] : undefined
  }

  /** True when a file would break fewer gigantic frames if it waited for dirty blocks to be zeroed. */
  shouldWait(count: number, use: Use): boolean {
    return use.guestRam && (this.#framed?.shouldWait(count, this.available(use)) ?? false)
  }

  /**
   * The first dirty blocks from block `from` on that lie outside of whole gigantic frames: the worker zeroes
   * those first. None where there are no frames.
   */
  dirtyOutsideFrames(from: number): Extent | undefined {
    return this.#framed?.dirtyOutside(from)
  }

  /** The beginning of `extent`, as far as it lies in one data chunk or outside of all. */
  inOneZone(extent: Extent): Extent {
    const { start, count } = this.#alike(extent)
    const chunk = this.#chunkOf(start)
    // A data chunk is a zone of its own, the next one is another.
    return { start, count: this.#isDataChunk(chunk) ? Math.min(count, this.#endOf(chunk) - start) : count }
  }

  /** Counts again what the chunk holds. Returns whether it has become a data chunk, or is none any more. */
  #settle(chunk: number): boolean {
    const extent = this.#extentOf(chunk)
    const before = this.#tallies[chunk] as Tally
    const after = tally(this.#blocks, extent)
    if (after.ordinary > 0 && after.guestRam > 0)
      throw new BrokenInvariantError(
        `blocks ${extent.start}+${extent.count} hold guest RAM and ordinary files`,
      )
    const [was, is] = [roleOf(before), roleOf(after)]
    this.#tallies[chunk] = after
    const wasData = this.#isData[chunk]
    this.#isData[chunk] = Number(is === 'data')
    for (const kind of ['clean', 'dirty'] as const) {
      this.#sums[was][kind] -= before[kind]
      this.#sums[is][kind] += after[kind]
    }
    return wasData !== this.#isData[chunk]
  }

  #place(chunk: number): void {
    const held = this.#tallies[chunk] as Tally
    const isOpen = roleOf(held) === 'open'
    const inWhole = isOpen && (this.#framed?.touchesWhole(this.#extentOf(chunk)) ?? false)
    this.#openClean.set(chunk, isOpen && held.clean > 0, inWhole)
    this.#openFree.set(chunk, isOpen && held.clean + held.dirty > 0, inWhole)
  }

  #chunkOf(block: number): number {
    return Math.floor(block / this.#chunkBlocks)
  }

  #chunksOf({ start, count }: Extent): number[] {
    const first = this.#chunkOf(start)
    return Array.from({ length: this.#chunkOf(start + count - 1) - first + 1 }, (_, at) => first + at)
  }

  #isDataChunk(chunk: number): boolean {
    return this.#isData[chunk] === 1
  }

  /** The last chunk may be shorter than the others. */
  #endOf(chunk: number): number {
    return Math.min((chunk + 1) * this.#chunkBlocks, this.#blocks.length)
  }

  #extentOf(chunk: number): Extent {
    const start = chunk * this.#chunkBlocks
    return { start, count: this.#endOf(chunk) - start }
  }
}

function roleOf({ ordinary, guestRam }: Tally): Role {
  return ordinary > 0 ? 'data' : guestRam > 0 ? 'guestRam' : 'open'
}
