/**
 * Owns keeping ordinary files and guest RAM apart. The pool is cut into aligned chunks; one with a block of an
 * ordinary file is a slab. Ordinary files take the free blocks of slabs first, and then whole chunks without guest
 * RAM from the top of the pool, which become slabs; guest RAM takes the lowest blocks outside of slabs. So both
 * grow towards each other, and few chunks hold ordinary files.
 *
 * What a chunk is follows from what its blocks are. Nothing is remembered: a chunk whose last ordinary block
 * was given up is open again.
 */
import type { Extent } from '../stores/store.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import { cleanRuns, noBlocks, type Tally, tally } from './block-kinds.ts'
import { countBlocks, joinExtents } from './extents.ts'
import { FreeRuns } from './free-runs.ts'
import type { For, FreeSpace } from './free-space.ts'

/** `open`: no file owns a block of it, so it can become either. */
type Role = 'slab' | 'guestRam' | 'open'

export class Zones implements FreeSpace {
  readonly #blocks: Uint8Array
  readonly #slabBlocks: number
  /** What each chunk holds, by its number. */
  readonly #tallies: Tally[]
  /** What all chunks of a role hold. */
  readonly #sums: Record<Role, Tally> = { slab: noBlocks(), guestRam: noBlocks(), open: noBlocks() }
  /** Clean blocks inside and outside of slabs. */
  readonly #inSlabs: FreeRuns
  readonly #outside: FreeRuns
  /** Numbers of the open chunks that have a clean block; that have a clean or a dirty one. */
  readonly #openClean: FreeRuns
  readonly #openFree: FreeRuns

  /** `blocks` are the allocator's own, and kept by it. */
  constructor(blocks: Uint8Array, slabBlocks: number) {
    this.#blocks = blocks
    this.#slabBlocks = slabBlocks
    const chunks = Math.ceil(blocks.length / slabBlocks)
    this.#tallies = Array.from({ length: chunks }, noBlocks)
    this.#inSlabs = new FreeRuns(blocks.length)
    this.#outside = new FreeRuns(blocks.length)
    this.#openClean = new FreeRuns(chunks)
    this.#openFree = new FreeRuns(chunks)
  }

  changed({ start, count }: Extent): void {
    for (let chunk = this.#chunkOf(start); chunk * this.#slabBlocks < start + count; chunk++)
      this.#settle(chunk)
  }

  available({ guestRam }: For): Pick<Tally, 'clean' | 'dirty'> {
    const { open, slab, guestRam: ram } = this.#sums
    const own = guestRam ? ram : slab
    return { clean: open.clean + own.clean, dirty: open.dirty + own.dirty }
  }

  choose(count: number, { guestRam }: For): Extent[] {
    if (guestRam) return this.#outside.choose(count)
    const chosen = this.#inSlabs.choose(Math.min(count, this.#sums.slab.clean))
    let left = count - countBlocks(chosen)
    if (left === 0) return chosen
    const fresh: Extent[] = []
    for (let end = this.#tallies.length; left > 0; ) {
      const chunk = this.#openClean.lastBelow(end)
      if (chunk === undefined)
        throw new BrokenInvariantError(`${count} clean blocks are counted, ${left} of them cannot be found`)
      for (const run of cleanRuns(this.#blocks, this.#extentOf(chunk))) {
        const taken = Math.min(run.count, left)
        if (taken > 0) fresh.push({ start: run.start, count: taken })
        left -= taken
      }
      end = chunk
    }
    return joinExtents(
      chosen,
      fresh.sort((a, b) => a.start - b.start),
    )
  }

  nextSlab(): Extent | undefined {
    const chunk = this.#openFree.lastBelow(this.#tallies.length)
    return chunk === undefined ? undefined : this.#extentOf(chunk)
  }

  inOneZone({ start, count }: Extent): Extent {
    let chunk = this.#chunkOf(start)
    const slab = this.#isSlab(chunk)
    let end = this.#endOf(chunk)
    // A slab is a zone of its own, the next one is another.
    while (!slab && end < start + count && !this.#isSlab(chunk + 1)) end = this.#endOf(++chunk)
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
    const [mine, other] = is === 'slab' ? [this.#inSlabs, this.#outside] : [this.#outside, this.#inSlabs]
    mine.mark(extent, false)
    for (const run of cleanRuns(this.#blocks, extent)) mine.mark(run, true)
    if ((was === 'slab') !== (is === 'slab')) other.mark(extent, false)
  }

  #chunkOf(block: number): number {
    return Math.floor(block / this.#slabBlocks)
  }

  #isSlab(chunk: number): boolean {
    return roleOf(this.#tallies[chunk] as Tally) === 'slab'
  }

  /** The last chunk may be shorter than the others. */
  #endOf(chunk: number): number {
    return Math.min((chunk + 1) * this.#slabBlocks, this.#blocks.length)
  }

  #extentOf(chunk: number): Extent {
    const start = chunk * this.#slabBlocks
    return { start, count: this.#endOf(chunk) - start }
  }
}

function roleOf({ ordinary, guestRam }: Tally): Role {
  return ordinary > 0 ? 'slab' : guestRam > 0 ? 'guestRam' : 'open'
}
