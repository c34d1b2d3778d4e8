/**
 * The free blocks of a pool that keeps ordinary files and guest RAM apart. The pool is cut into aligned
 * chunks; one with a block of an ordinary file is a data chunk. Ordinary files take the free blocks of data
 * chunks first, and then whole chunks without guest RAM from the top of the pool, which become data chunks;
 * guest RAM takes the lowest blocks outside of data chunks. So both grow towards each other, and few chunks
 * hold ordinary files.
 *
 * Where the pool has gigantic frames, what is not wanted in frames breaks as few of them as it can.
 *
 * The role of a chunk follows from its blocks alone: a chunk whose last ordinary block was given up is open
 * again.
 */
import type { Extent, FrameGrid } from '../../stores/store.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { CLEAN, cleanRuns, isDirty, noBlocks, type Tally, tally } from './block-kinds.ts'
import { countBlocks, joinExtents } from './extents.ts'
import { Frames } from './frames.ts'
import { FreeRuns } from './free-runs.ts'
import type { FreeSpace, Use } from './free-space.ts'

/** `open`: no file owns a block of it, so it can become either. */
type Role = 'data' | 'guestRam' | 'open'

export class Zones implements FreeSpace {
  readonly #blocks: Uint8Array
  readonly #chunkBlocks: number
  /** What each chunk holds, by its number. */
  readonly #tallies: Tally[]
  /** What all chunks of a role hold. */
  readonly #sums: Record<Role, Tally> = { data: noBlocks(), guestRam: noBlocks(), open: noBlocks() }
  /** Clean blocks inside and outside of data chunks. */
  readonly #inDataChunks: FreeRuns
  readonly #outside: FreeRuns
  /** Numbers of the open chunks that have a clean block; that have a clean or a dirty one. */
  readonly #openClean: FreeRuns
  readonly #openFree: FreeRuns

  readonly #frames: Frames | undefined
  /** What `nextDataChunk` last returned; undefined: to be computed again. */
  #nextDataChunk: { readonly extent: Extent | undefined } | undefined
  /** The same for `outsideFrames`. */
  #gaps: readonly Extent[] | undefined

  /** `blocks` is the allocator's array, which it keeps up to date. */
  constructor(blocks: Uint8Array, chunkBlocks: number, frames?: FrameGrid) {
    this.#blocks = blocks
    this.#chunkBlocks = chunkBlocks
    const chunks = Math.ceil(blocks.length / chunkBlocks)
    this.#tallies = Array.from({ length: chunks }, noBlocks)
    this.#inDataChunks = new FreeRuns(blocks.length)
    this.#outside = new FreeRuns(blocks.length)
    this.#openClean = new FreeRuns(chunks)
    this.#openFree = new FreeRuns(chunks)
    this.#frames = frames && new Frames(blocks, frames, (block) => this.#isDataChunk(this.#chunkOf(block)))
  }

  changed({ start, count }: Extent): void {
    this.#nextDataChunk = undefined
    this.#gaps = undefined
    for (let chunk = this.#chunkOf(start); chunk * this.#chunkBlocks < start + count; chunk++)
      this.#settle(chunk)
    this.#frames?.changed({ start: start - this.#chunkBlocks, count: count + 2 * this.#chunkBlocks })
  }

  available({ guestRam }: Use): Pick<Tally, 'clean' | 'dirty'> {
    const { open, data, guestRam: ram } = this.#sums
    const own = guestRam ? ram : data
    return { clean: open.clean + own.clean, dirty: open.dirty + own.dirty }
  }

  choose(count: number, { guestRam }: Use): Extent[] {
    if (guestRam) return this.#frames ? this.#chooseSparing(count, this.#frames) : this.#outside.choose(count)
    const chosen = this.#inDataChunks.choose(Math.min(count, this.#sums.data.clean))
    let left = count - countBlocks(chosen)
    if (left === 0) return chosen
    const fresh: Extent[] = []
    for (const chunk of this.#openFromTop(this.#openClean)) {
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
    return this.#frames ? [...this.#frames.whole()].length : 0
  }

  /**
   * Where the next data chunk will be made: the worker zeroes it first, so that it is made there. undefined:
   * there is no room for one.
   */
  nextDataChunk(): Extent | undefined {
    // The server asks after every request, and the answer is the same until a block changes.
    if (this.#nextDataChunk === undefined) {
      const [chunk] = this.#openFromTop(this.#openFree)
      this.#nextDataChunk = { extent: chunk === undefined ? undefined : this.#extentOf(chunk) }
    }
    return this.#nextDataChunk.extent
  }

  /**
   * For a use that wants frames or one run: `count` blocks in that shape. `dirtyToo`: blocks that could be
   * had once they are zeroed count as well. undefined: there are none. Reserves nothing.
   */
  chooseShaped(count: number, use: Use, { dirtyToo }: { dirtyToo: boolean }): Extent[] | undefined {
    return use.inFrames ? this.#chooseFrames(count, dirtyToo) : this.#chooseContiguous(count, use, dirtyToo)
  }

  #chooseFrames(count: number, dirtyToo: boolean): Extent[] | undefined {
    const chosen: Extent[] = []
    let left = count
    for (const frame of this.#frames?.whole({ clean: !dirtyToo }) ?? []) {
      const extent = this.#frames?.extentOf(frame) as Extent
      chosen.push(extent)
      left -= extent.count
      if (left <= 0) break
    }
    // Part of a frame is no gigantic page.
    return left === 0 ? joinExtents([], chosen) : undefined
  }

  #chooseContiguous(count: number, { contiguous }: Use, dirtyToo: boolean): Extent[] | undefined {
    const after = contiguous?.after
    if (after === undefined && !dirtyToo) {
      const run = this.#outside.firstFit(count)
      return run && [run]
    }
    const end = after === undefined ? this.#blocks.length : Math.min(after + count, this.#blocks.length)
    let start = after ?? 0
    for (let at = start; at < end; at++) {
      const block = this.#blocks[at] as number
      const isFree = block === CLEAN || (dirtyToo && isDirty(block))
      if (!isFree || this.#isDataChunk(this.#chunkOf(at))) start = at + 1
      else if (at + 1 - start === count) return [{ start, count }]
    }
    return undefined
  }

  /**
   * Blocks that are free outside of whole frames first, if that saves breaking one; in few pieces otherwise.
   * The frames that are broken are the lowest.
   */
  #chooseSparing(count: number, frames: Frames): Extent[] {
    const whole = [...frames.whole()].map((frame) => frames.extentOf(frame))
    const runs = whole.flatMap((extent) => cleanRuns(this.#blocks, extent))
    const broken = this.#outsideOf(whole).clean
    if (breaks(count, broken, whole) === breaks(count, 0, whole)) return this.#outside.choose(count)
    for (const run of runs) this.#outside.mark(run, false)
    const chosen = this.#outside.choose(Math.min(count, broken))
    for (const run of runs) this.#outside.mark(run, true)
    for (const run of chosen) this.#outside.mark(run, false)
    const more = this.#outside.choose(count - countBlocks(chosen))
    for (const run of chosen) this.#outside.mark(run, true)
    return joinExtents(chosen, more)
  }

  /**
   * True when the blocks that such a file could have at once would break more gigantic frames than those it
   * could have once the worker has zeroed the dirty blocks outside of them.
   */
  shouldWait(count: number, { guestRam }: Use): boolean {
    if (!guestRam || this.#frames === undefined) return false
    const frames = this.#frames
    const whole = [...frames.whole()].map((frame) => frames.extentOf(frame))
    const { clean, dirty } = this.#outsideOf(whole)
    return breaks(count, clean + dirty, whole) < breaks(count, clean, whole)
  }

  /**
   * The blocks outside of whole gigantic frames, ascending: the worker zeroes them first. None where there
   * are no frames.
   */
  outsideFrames(): readonly Extent[] {
    this.#gaps ??= this.#frames ? gapsBetween(this.#frames, this.#blocks.length) : []
    return this.#gaps
  }

  /** What guest RAM could have outside of these frames. */
  #outsideOf(whole: readonly Extent[]): Pick<Tally, 'clean' | 'dirty'> {
    const { open, guestRam } = this.#sums
    const inside = whole.map((extent) => tally(this.#blocks, extent))
    const sum = (kind: 'clean' | 'dirty') =>
      open[kind] + guestRam[kind] - inside.reduce((total, each) => total + each[kind], 0)
    return { clean: sum('clean'), dirty: sum('dirty') }
  }

  /** Chunks of `among` from the top of the pool: those outside of whole frames, and then the others. */
  *#openFromTop(among: FreeRuns): IterableIterator<number> {
    const isInWhole = (chunk: number) => this.#frames?.touchesWhole(this.#extentOf(chunk)) ?? false
    const all = this.#tallies.length
    for (let chunk = among.lastBelow(all); chunk !== undefined; chunk = among.lastBelow(chunk))
      if (!isInWhole(chunk)) yield chunk
    if (this.#frames === undefined) return
    for (let chunk = among.lastBelow(all); chunk !== undefined; chunk = among.lastBelow(chunk))
      if (isInWhole(chunk)) yield chunk
  }

  /** The beginning of `extent`, as far as it lies in one chunk or outside of all. */
  inOneZone({ start, count }: Extent): Extent {
    let chunk = this.#chunkOf(start)
    const isData = this.#isDataChunk(chunk)
    let end = this.#endOf(chunk)
    // A data chunk is a zone of its own, the next one is another.
    while (!isData && end < start + count && !this.#isDataChunk(chunk + 1)) end = this.#endOf(++chunk)
    return { start, count: Math.min(start + count, end) - start }
  }

  #settle(chunk: number): void {
    const extent = this.#extentOf(chunk)
    const before = this.#tallies[chunk] as Tally
    const after = tally(this.#blocks, extent)
    if (after.ordinary > 0 && after.guestRam > 0)
      throw new BrokenInvariantError(
        `blocks ${extent.start}+${extent.count} hold guest RAM and ordinary files`,
      )
    const [was, is] = [roleOf(before), roleOf(after)]
    this.#tallies[chunk] = after
    for (const kind of ['clean', 'dirty'] as const) {
      this.#sums[was][kind] -= before[kind]
      this.#sums[is][kind] += after[kind]
    }
    const self = { start: chunk, count: 1 }
    this.#openClean.mark(self, is === 'open' && after.clean > 0)
    this.#openFree.mark(self, is === 'open' && after.clean + after.dirty > 0)
    const [mine, other] =
      is === 'data' ? [this.#inDataChunks, this.#outside] : [this.#outside, this.#inDataChunks]
    mine.mark(extent, false)
    for (const run of cleanRuns(this.#blocks, extent)) mine.mark(run, true)
    if ((was === 'data') !== (is === 'data')) other.mark(extent, false)
  }

  #chunkOf(block: number): number {
    return Math.floor(block / this.#chunkBlocks)
  }

  #isDataChunk(chunk: number): boolean {
    return roleOf(this.#tallies[chunk] as Tally) === 'data'
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

/** How many whole frames a file of so many blocks breaks, with `free` blocks outside of them. */
function breaks(count: number, free: number, whole: readonly Extent[]): number {
  return Math.ceil(Math.max(0, count - free) / (whole[0]?.count ?? Number.POSITIVE_INFINITY))
}

function gapsBetween(frames: Frames, totalBlocks: number): Extent[] {
  const gaps: Extent[] = []
  let start = 0
  for (const frame of frames.whole()) {
    const extent = frames.extentOf(frame)
    if (extent.start > start) gaps.push({ start, count: extent.start - start })
    start = extent.start + extent.count
  }
  return start < totalBlocks ? [...gaps, { start, count: totalBlocks - start }] : gaps
}

function roleOf({ ordinary, guestRam }: Tally): Role {
  return ordinary > 0 ? 'data' : guestRam > 0 ? 'guestRam' : 'open'
}
