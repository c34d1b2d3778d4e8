/**
 * Owns the table that says which memfd is which: one row per memory, in a memfd that keeper and server both
 * map, valid as long as the pool. The keeper writes the number its own copy of the descriptor has; the server
 * writes its own, so that a keeper that comes back after its predecessor died can fetch the descriptors from
 * the server that outlived it. A row is in use while either number is there.
 * It must not know what a memory is used for: that is the image's business.
 */
import type { Fd, MemoryId } from '../values/ids.ts'

const ROW_WORDS = 2
/** Sparse: rows never used cost nothing. Far above what RLIMIT_NOFILE allows. */
const MAX_ROWS = 4 * 1024 * 1024
export const DESCRIPTOR_TABLE_BYTES = MAX_ROWS * ROW_WORDS * 4

export type Holder = 'keeper' | 'server'
const COLUMN = { keeper: 0, server: 1 } as const

export class DescriptorTable {
  readonly #rows: Int32Array
  /** Rows from here on were never used: bounds every scan. Row 0 holds it, so it is shared too. */
  static readonly #USED_ROWS_WORD = 0

  constructor(bytes: Uint8Array) {
    this.#rows = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  }

  /** The holder's own descriptor number for `memory`, if it has one. */
  get(memory: MemoryId, holder: Holder): Fd | undefined {
    const stored = Atomics.load(this.#rows, memory * ROW_WORDS + COLUMN[holder])
    return stored === 0 ? undefined : ((stored - 1) as Fd)
  }

  set(memory: MemoryId, holder: Holder, fd: Fd | undefined): void {
    if (memory >= this.usedRows) Atomics.store(this.#rows, DescriptorTable.#USED_ROWS_WORD, memory + 1)
    // Stored plus one, so that fresh zeroed memory reads as "none".
    Atomics.store(this.#rows, memory * ROW_WORDS + COLUMN[holder], fd === undefined ? 0 : fd + 1)
  }

  /** A column speaks of one process: whoever takes the role over starts with an empty one. */
  clear(holder: Holder): void {
    for (const memory of this.memories()) this.set(memory, holder, undefined)
  }

  *memories(): IterableIterator<MemoryId> {
    for (let row = 1; row < this.usedRows; row++) {
      const memory = row as MemoryId
      if (this.inUse(memory)) yield memory
    }
  }

  inUse(memory: MemoryId): boolean {
    return this.get(memory, 'keeper') !== undefined || this.get(memory, 'server') !== undefined
  }

  /** One past the highest row ever used; at least 1, since row 0 is not a memory. */
  get usedRows(): number {
    return Math.max(1, Atomics.load(this.#rows, DescriptorTable.#USED_ROWS_WORD))
  }

  static readonly maxRows = MAX_ROWS
}
