/**
 * Every store into the metadata area: nothing else may write there. It can record its trace, so that a test
 * can build each state a crash between two stores, or in the middle of one, would leave.
 *
 * Stores reach the memory in program order as far as any successor can see: the successor starts after this
 * process has ended, and a core retires what it executed. What the JIT may reorder is fenced by
 * `Atomics.store`, which is sequentially consistent (ECMA-262, "Memory Model") and one instruction for an
 * aligned 64-bit word.
 */
import { BrokenInvariantError } from '../../values/errors.ts'

/** One store: `bytes` at `offset` of the area. Words are stores of 8 bytes. */
export interface TracedStore {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Called before each store is made. */
export type Trace = (store: TracedStore) => void

export class AreaWriter {
  readonly #area: Uint8Array
  readonly #words: BigUint64Array
  readonly #trace: Trace | undefined

  /** `area` must begin at a multiple of 8 in its buffer and be a multiple of 8 long, or words could tear. */
  constructor(area: Uint8Array, trace?: Trace) {
    if (area.byteOffset % 8 !== 0 || area.byteLength % 8 !== 0) {
      throw new BrokenInvariantError('the metadata area is not aligned to 8 bytes')
    }
    this.#area = area
    this.#words = new BigUint64Array(area.buffer, area.byteOffset, area.byteLength / 8)
    this.#trace = trace
  }

  /** Copies `bytes` to `offset`. A successor may find it half done. */
  bytes(offset: number, bytes: Uint8Array): void {
    if (offset < 0 || offset + bytes.length > this.#area.length) {
      throw new BrokenInvariantError(`store of ${bytes.length} bytes at ${offset} leaves the metadata area`)
    }
    this.#trace?.({ offset, bytes: new Uint8Array(bytes) })
    this.#area.set(bytes, offset)
  }

  /** Stores one aligned 64-bit word, at once and after everything stored before. */
  word(offset: number, value: bigint): void {
    if (offset < 0 || offset % 8 !== 0 || offset + 8 > this.#area.length) {
      throw new BrokenInvariantError(`word at ${offset} is not an aligned word of the metadata area`)
    }
    this.#trace?.({ offset, bytes: new Uint8Array(BigUint64Array.of(value).buffer) })
    Atomics.store(this.#words, offset / 8, value)
  }
}
