/**
 * The chunks that can become data chunks, from the top of the pool: those outside of whole gigantic frames,
 * and then those that would break one. Must not: depend on why a chunk is open.
 */
import { FreeRuns } from './free-runs.ts'

export class OpenChunks {
  readonly #chunks: number
  readonly #outside: FreeRuns
  readonly #inWhole: FreeRuns

  constructor(chunks: number) {
    this.#chunks = chunks
    this.#outside = new FreeRuns(chunks)
    this.#inWhole = new FreeRuns(chunks)
  }

  /** `inWhole`: a block of the chunk lies in a whole frame. */
  set(chunk: number, isOpen: boolean, inWhole: boolean): void {
    this.#outside.mark({ start: chunk, count: 1 }, isOpen && !inWhole)
    this.#inWhole.mark({ start: chunk, count: 1 }, isOpen && inWhole)
  }

  *fromTop(): IterableIterator<number> {
    for (const among of [this.#outside, this.#inWhole])
      for (let chunk = among.lastBelow(this.#chunks); chunk !== undefined; chunk = among.lastBelow(chunk))
        yield chunk
  }
}
