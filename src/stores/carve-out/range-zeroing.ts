/**
 * The zeroing of one range, slice by slice. Uses the mapping of a data chunk where one is mapped; for the
 * rest it makes a device, or a window, that lasts as long as its piece. Must not: write outside the range.
 * The caller makes sure that no other job touches `busy` meanwhile.
 */

import { type PhysicalRange, rangeEnd } from '../../linux/memory-ranges.ts'
import { type RawMapping, unmapRaw, zeroRaw } from '../../linux/raw-memory.ts'
import { EHWPOISON, EIO, Errno } from '../../values/errno.ts'
import { MIB } from '../../values/units.ts'
import type { Instance, RangeMapper } from './range-mapper.ts'

const SLICE_BYTES = 16 * MIB

/** A chunk that is mapped: one range, one mapping. */
export interface MappedChunk {
  readonly range: PhysicalRange
  readonly mapping: RawMapping
  readonly instance: Instance
}

interface Piece {
  readonly mapping: RawMapping
  /** Of the piece's first byte in the mapping. */
  readonly offset: number
  readonly range: PhysicalRange
  /** Made for this piece alone. */
  readonly temporary: Instance | undefined
  doneBytes: number
}

export class RangeZeroing {
  readonly range: PhysicalRange
  readonly #mapper: RangeMapper
  readonly #chunks: () => readonly MappedChunk[]
  readonly #destroyOverlapping: (range: PhysicalRange) => Errno | undefined
  #doneBytes = 0
  #piece: Piece | undefined

  /** `destroyOverlapping` destroys the instances that lie across a range; EBUSY where a process holds one. */
  constructor(
    range: PhysicalRange,
    deps: {
      mapper: RangeMapper
      chunks: () => readonly MappedChunk[]
      destroyOverlapping: (range: PhysicalRange) => Errno | undefined
    },
  ) {
    this.range = range
    this.#mapper = deps.mapper
    this.#chunks = deps.chunks
    this.#destroyOverlapping = deps.destroyOverlapping
  }

  get doneBytes(): number {
    return this.#doneBytes
  }

  get isDone(): boolean {
    return this.#doneBytes === this.range.lengthBytes
  }

  /** What no other job may touch now. */
  get busy(): readonly PhysicalRange[] {
    return this.#piece === undefined ? [] : [this.#piece.range]
  }

  /**
   * Errors: EBUSY (a process holds the next piece), ENOMEM, EIO (it cannot be mapped): nothing was written,
   * try again later; EHWPOISON: a page of it cannot be written, and all of the slice counts as not zeroed.
   */
  zeroSlice(): Errno | undefined {
    const piece = this.#piece ?? this.#nextPiece()
    if (piece instanceof Errno) return piece
    this.#piece = piece
    const bytes = Math.min(SLICE_BYTES, piece.range.lengthBytes - piece.doneBytes)
    const failed = zeroRaw(piece.mapping, piece.offset + piece.doneBytes, bytes)
    if (failed !== undefined) {
      this.#endPiece(piece)
      return failed === EIO ? EHWPOISON : failed
    }
    piece.doneBytes += bytes
    this.#doneBytes += bytes
    return piece.doneBytes === piece.range.lengthBytes ? this.#endPiece(piece) : undefined
  }

  #nextPiece(): Piece | Errno {
    const start = this.range.start + this.#doneBytes
    const end = this.range.start + this.range.lengthBytes
    const chunks = this.#chunks()
    const inside = chunks.find(({ range }) => range.start <= start && start < rangeEnd(range))
    if (inside !== undefined) {
      const range = { start, lengthBytes: Math.min(end, rangeEnd(inside.range)) - start }
      const offset = start - inside.range.start
      return { mapping: inside.mapping, offset, range, temporary: undefined, doneBytes: 0 }
    }
    const later = chunks.map(({ range }) => range.start).filter((chunkStart) => chunkStart > start)
    return this.#temporaryPiece({ start, lengthBytes: Math.min(end, ...later) - start })
  }

  /**
   * A block that no file owns but a process holds was left by a crash. It is not zeroed: its holder would
   * write into the next owner's memory.
   */
  #temporaryPiece(range: PhysicalRange): Piece | Errno {
    const temporary = this.#destroyOverlapping(range) ?? this.#mapper.make([range])
    if (temporary instanceof Errno) return temporary
    const mapping = this.#mapper.map(temporary, { writable: true })
    if (mapping instanceof Errno) return this.#mapper.destroy(temporary) ?? mapping
    return { mapping, offset: 0, range, temporary, doneBytes: 0 }
  }

  /**
   * A server that dies before it destroys the instance leaves a bound one that no process holds and no node
   * leads to: the next start destroys it. Errors: why it cannot be destroyed. Its memory counts as not zeroed
   * then, so that no file gets it, and `destroyOverlapping` tries again when it is to be zeroed the next
   * time.
   */
  #endPiece({ temporary, mapping }: Piece): Errno | undefined {
    this.#piece = undefined
    if (temporary === undefined) return undefined
    unmapRaw(mapping)
    return this.#mapper.destroy(temporary)
  }
}
