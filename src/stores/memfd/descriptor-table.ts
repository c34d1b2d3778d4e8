/**
 * Owns the table that says which memfd is which: one row per memory, in a memfd that keeper and server both
 * map, valid as long as the pool. The keeper writes the number its own copy of the descriptor has; the server
 * writes its own, so that a keeper that comes back after its predecessor died can fetch the descriptors from
 * the server that outlived it. A row is in use while either number is there, or its memory is on its way
 * from one kernel to the next.
 * It must not know what a memory is used for: that is the image's business.
 */
import type { Fd, MemoryId } from '../../values/ids.ts'
import { PASSAGES, type Passage } from '../store.ts'

const ROW_WORDS = 2
/** Sparse: rows never used cost nothing. Far above what RLIMIT_NOFILE allows. */
const MAX_ROWS = 4 * 1024 * 1024
const ROWS_BYTES = MAX_ROWS * ROW_WORDS * 4
/** One byte a row follows the rows, then the words about the hand-over. */
const PASSAGES_BYTES = MAX_ROWS
const WORDS_BYTES = 64
export const DESCRIPTOR_TABLE_BYTES = ROWS_BYTES + PASSAGES_BYTES + WORDS_BYTES

export type Holder = 'keeper' | 'server'
const COLUMN = { keeper: 0, server: 1 } as const

export class DescriptorTable {
  readonly #rows: Int32Array
  readonly #passages: Uint8Array
  /** For `HandOverWords`: how far the hand-over as a whole is. */
  readonly words: Int32Array
  /** Rows from here on were never used: bounds every scan. Row 0 holds it, so it is shared too. */
  static readonly #USED_ROWS_WORD = 0

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset } = bytes
    this.#rows = new Int32Array(buffer, byteOffset, ROWS_BYTES / 4)
    this.#passages = new Uint8Array(buffer, byteOffset + ROWS_BYTES, PASSAGES_BYTES)
    this.words = new Int32Array(buffer, byteOffset + ROWS_BYTES + PASSAGES_BYTES, WORDS_BYTES / 4)
  }

  /** The holder's own descriptor number for `memory`, if it has one. */
  get(memory: MemoryId, holder: Holder): Fd | undefined {
    const stored = Atomics.load(this.#rows, memory * ROW_WORDS + COLUMN[holder])
    return stored === 0 ? undefined : ((stored - 1) as Fd)
  }

  set(memory: MemoryId, holder: Holder, fd: Fd | undefined): void {
    this.#use(memory)
    // Stored plus one, so that fresh zeroed memory reads as "none".
    Atomics.store(this.#rows, memory * ROW_WORDS + COLUMN[holder], fd === undefined ? 0 : fd + 1)
  }

  passage(memory: MemoryId): Passage {
    return PASSAGES[Atomics.load(this.#passages, memory)] ?? 'lost'
  }

  setPassage(memory: MemoryId, passage: Passage): void {
    this.#use(memory)
    Atomics.store(this.#passages, memory, PASSAGES.indexOf(passage))
  }

  #use(memory: MemoryId): void {
    if (memory >= this.usedRows) Atomics.store(this.#rows, DescriptorTable.#USED_ROWS_WORD, memory + 1)
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
    return (
      this.passage(memory) !== 'none' ||
      (['keeper', 'server'] as const).some((holder) => this.get(memory, holder) !== undefined)
    )
  }

  /** One past the highest row ever used; at least 1, since row 0 is not a memory. */
  get usedRows(): number {
    return Math.max(1, Atomics.load(this.#rows, DescriptorTable.#USED_ROWS_WORD))
  }

  static readonly maxRows = MAX_ROWS
}
