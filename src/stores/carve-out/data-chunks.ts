/**
 * Owns the slabs of ordinary files: which are mapped and where, how many blocks of each a file owns, and moving bytes
 * between them and a file's offsets. Slabs are reached by address alone, so that one that is empty can be given up.
 */
import { type RawMapping, readRaw, writeRaw, zeroRaw } from '../../linux/raw-memory.ts'
import { EBUSY, type Errno, errnoFromCode } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS, type Extent, WAITS } from '../store.ts'
import { type Layout, rangesOf, slabExtent, slabOf, slabsOf } from './layout.ts'
import type { WorkerPort } from './worker-client.ts'

/** Bytes of a file that lie in one slab, one after the other. */
export interface Piece {
  readonly slab: number
  /** In the slab. */
  readonly offset: number
  readonly lengthBytes: number
}

export class DataChunks {
  readonly #layout: Layout
  readonly #crew: WorkerPort
  readonly #mapped = new Map<number, RawMapping>()
  readonly #asked = new Set<number>()
  readonly #failed = new Map<number, Errno>()
  readonly #ownedBlocks = new Map<number, number>()

  constructor(layout: Layout, crew: WorkerPort) {
    this.#layout = layout
    this.#crew = crew
  }

  /** Files own these blocks from now on (`sign` 1), or do not any more (-1). */
  count(extents: readonly Extent[], sign: 1 | -1): void {
    for (const { start, count } of extents)
      for (const slab of slabsOf([{ start, count }])) {
        const first = slab * CHUNK_BLOCKS
        const blocks = Math.min(start + count, first + CHUNK_BLOCKS) - Math.max(start, first)
        this.#ownedBlocks.set(slab, (this.#ownedBlocks.get(slab) ?? 0) + sign * blocks)
      }
  }

  #owns(slab: number): boolean {
    return (this.#ownedBlocks.get(slab) ?? 0) > 0
  }

  /** Makes sure that these slabs are mapped. Errors: WAITS; those of making one, told once. */
  prepare(slabs: readonly number[]): Errno | undefined {
    const missing = slabs.filter((slab) => !this.#mapped.has(slab))
    for (const slab of missing) {
      const failed = this.#failed.get(slab)
      this.#failed.delete(slab)
      if (failed) return failed
    }
    for (const slab of missing) this.#ask(slab)
    return missing.length === 0 ? undefined : WAITS
  }

  /**
   * Gives up the mapped slabs of these blocks, which guest RAM is to have: whoever asks the crew next for their memory
   * finds it free. Errors: EBUSY (a file owns a block there), WAITS.
   */
  yield(extents: readonly Extent[]): Errno | undefined {
    const slabs = slabsOf(extents)
    if (slabs.some((slab) => this.#owns(slab) && (this.#mapped.has(slab) || this.#asked.has(slab))))
      return EBUSY
    if (slabs.some((slab) => this.#asked.has(slab))) return WAITS
    for (const slab of slabs) {
      // From here on nobody on this thread has the address; the worker unmaps it.
      if (this.#mapped.delete(slab))
        this.#crew.ask('drop', rangesOf(this.#layout, [slabExtent(this.#layout, slab)]), () => {})
    }
    return undefined
  }

  read(extents: readonly Extent[], offset: number, into: Uint8Array): void {
    let done = 0
    for (const piece of pieces(extents, offset, into.byteLength)) {
      readRaw(this.#mapping(piece.slab), piece.offset, into.subarray(done, done + piece.lengthBytes))
      done += piece.lengthBytes
    }
  }

  write(extents: readonly Extent[], offset: number, from: Uint8Array): void {
    let done = 0
    for (const piece of pieces(extents, offset, from.byteLength)) {
      writeRaw(this.#mapping(piece.slab), piece.offset, from.subarray(done, done + piece.lengthBytes))
      done += piece.lengthBytes
    }
  }

  /** The slabs that hold these bytes of a file. */
  of(extents: readonly Extent[], offset: number, lengthBytes: number): number[] {
    return [...new Set([...pieces(extents, offset, lengthBytes)].map(({ slab }) => slab))]
  }

  zero(extents: readonly Extent[], offset: number, lengthBytes: number): void {
    for (const piece of pieces(extents, offset, lengthBytes))
      zeroRaw(this.#mapping(piece.slab), piece.offset, piece.lengthBytes)
  }

  #mapping(slab: number): RawMapping {
    const mapping = this.#mapped.get(slab)
    if (mapping === undefined) throw new BrokenInvariantError(`slab ${slab} is used before it is mapped`)
    return mapping
  }

  #ask(slab: number): void {
    if (this.#asked.has(slab)) return
    this.#asked.add(slab)
    this.#crew.ask('slab', rangesOf(this.#layout, [slabExtent(this.#layout, slab)]), (result) => {
      this.#asked.delete(slab)
      if (result.kind === 'mapped') this.#mapped.set(slab, result.mapping)
      if (result.kind === 'failed') this.#failed.set(slab, errnoFromCode(result.errnoCode))
    })
  }
}

/** The bytes from `offset` on, in file order, cut where a slab or an extent ends. */
export function* pieces(
  extents: readonly Extent[],
  offset: number,
  lengthBytes: number,
): IterableIterator<Piece> {
  let skip = offset
  let left = lengthBytes
  for (const { start, count } of extents) {
    const extentBytes = count * BLOCK_BYTES
    let at = skip
    skip = Math.max(0, skip - extentBytes)
    while (at < extentBytes && left > 0) {
      const byte = start * BLOCK_BYTES + at
      const slab = slabOf(Math.floor(byte / BLOCK_BYTES))
      const inSlab = byte - slab * CHUNK_BLOCKS * BLOCK_BYTES
      const length = Math.min(left, extentBytes - at, CHUNK_BLOCKS * BLOCK_BYTES - inSlab)
      yield { slab, offset: inSlab, lengthBytes: length }
      at += length
      left -= length
    }
  }
  if (left > 0) throw new BrokenInvariantError(`${left} bytes lie beyond the blocks of their file`)
}
