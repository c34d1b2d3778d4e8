/**
 * The table of memory objects and their memfds: one row per object, in a memfd that keeper and server both
 * map, valid as long as the pool. Keeper and server each write the number of their own descriptor, so that a
 * new keeper can copy the descriptors out of the server where the former keeper died. A row is in use while
 * either number is there, or its object is not present.
 * Must not: hold what an object is used for, which the image does.
 */
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { StoreUse } from '../../values/store-use.ts'
import { MEMORY_STATES, type MemoryState } from '../store.ts'
import type { Role } from './handover-transitions.ts'

const ROW_WORDS = 2
/** Sparse: rows that were never used take no memory. Far above what RLIMIT_NOFILE allows. */
const MAX_ROWS = 4 * 1024 * 1024
const ROWS_BYTES = MAX_ROWS * ROW_WORDS * 4
/** One byte a row follows the rows, then the words about the handover. */
const STATES_BYTES = MAX_ROWS
const WORDS_BYTES = 64
/** The identity of its memfd, a word a row. */
const IDENTITIES_BYTES = MAX_ROWS * 4
/** The size of the table in former versions. */
const FORMER_BYTES = ROWS_BYTES + STATES_BYTES + WORDS_BYTES
export const DESCRIPTOR_TABLE_BYTES = FORMER_BYTES + IDENTITIES_BYTES
/** Among the words, behind those of the handover: how much the service manager has in its store. */
const STORE_USE_WORD = { most: 8, stored: 9, unstored: 10 } as const
const POOL_BLOCKS_WORD = 11
/** For a process that reads another process's table. */
export const POOL_BLOCKS_AT = ROWS_BYTES + STATES_BYTES + POOL_BLOCKS_WORD * 4

const COLUMN = { keeper: 0, server: 1 } as const

export class DescriptorTable {
  readonly #rows: Int32Array
  readonly #states: Uint8Array
  /** For `HandoverWords`: the state of the handover as a whole. */
  readonly words: Int32Array
  readonly #identities: Uint32Array
  /** Rows from here on were never used: bounds every scan. Row 0 holds it, so it is shared too. */
  static readonly #USED_ROWS_WORD = 0

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset } = bytes
    this.#rows = new Int32Array(buffer, byteOffset, ROWS_BYTES / 4)
    this.#states = new Uint8Array(buffer, byteOffset + ROWS_BYTES, STATES_BYTES)
    this.words = new Int32Array(buffer, byteOffset + ROWS_BYTES + STATES_BYTES, WORDS_BYTES / 4)
    this.#identities = new Uint32Array(buffer, byteOffset + FORMER_BYTES, MAX_ROWS)
  }

  /** The holder's own descriptor number for `object`, if it has one. */
  get(object: ObjectId, holder: Role): Fd | undefined {
    const stored = Atomics.load(this.#rows, object * ROW_WORDS + COLUMN[holder])
    return stored === 0 ? undefined : ((stored - 1) as Fd)
  }

  set(object: ObjectId, holder: Role, fd: Fd | undefined): void {
    this.#use(object)
    // Stored plus one, so that fresh zeroed memory reads as "none".
    Atomics.store(this.#rows, object * ROW_WORDS + COLUMN[holder], fd === undefined ? 0 : fd + 1)
  }

  state(object: ObjectId): MemoryState {
    return MEMORY_STATES[Atomics.load(this.#states, object)] ?? 'lost'
  }

  setState(object: ObjectId, state: MemoryState): void {
    this.#use(object)
    Atomics.store(this.#states, object, MEMORY_STATES.indexOf(state))
  }

  /**
   * Which memfd `object` is (`memfdIdentity`): numbers of objects are used again, and the service manager may
   * hold a former object of that number. 0: a former version made it, and did not record it.
   */
  identity(object: ObjectId): number {
    return Atomics.load(this.#identities, object)
  }

  /** The server sets it before a file owns the object; a keeper that takes the pool over copies it. */
  setIdentity(object: ObjectId, identity: number): void {
    Atomics.store(this.#identities, object, identity)
  }

  #use(object: ObjectId): void {
    if (object >= this.usedRows) Atomics.store(this.#rows, DescriptorTable.#USED_ROWS_WORD, object + 1)
  }

  /** A column holds one process's numbers: the process that takes the role over starts with an empty one. */
  clear(holder: Role): void {
    for (const object of this.objects()) this.set(object, holder, undefined)
  }

  *objects(): IterableIterator<ObjectId> {
    for (let row = 1; row < this.usedRows; row++) {
      const object = row as ObjectId
      if (this.inUse(object)) yield object
    }
  }

  inUse(object: ObjectId): boolean {
    return (
      this.state(object) !== 'present' ||
      (['keeper', 'server'] as const).some((holder) => this.get(object, holder) !== undefined)
    )
  }

  /** The size of the pool, as its server wrote it; undefined: no server has written it here. */
  get poolBlocks(): number | undefined {
    const blocks = Atomics.load(this.words, POOL_BLOCKS_WORD)
    return blocks === 0 ? undefined : blocks
  }

  set poolBlocks(blocks: number) {
    Atomics.store(this.words, POOL_BLOCKS_WORD, blocks)
  }

  /**
   * undefined: the keeper does not run in a unit, or is of a former version. The numbers may be of two
   * moments.
   */
  get storeUse(): StoreUse | undefined {
    const [stored, unstored, most] = (['stored', 'unstored', 'most'] as const).map((word) =>
      Atomics.load(this.words, STORE_USE_WORD[word]),
    ) as [number, number, number]
    return most === 0 ? undefined : { stored, unstored, most }
  }

  set storeUse({ stored, unstored, most }: StoreUse) {
    Atomics.store(this.words, STORE_USE_WORD.stored, stored)
    Atomics.store(this.words, STORE_USE_WORD.unstored, unstored)
    Atomics.store(this.words, STORE_USE_WORD.most, most)
  }

  /** One past the highest row ever used; at least 1, since row 0 is no object's. */
  get usedRows(): number {
    return Math.max(1, Atomics.load(this.#rows, DescriptorTable.#USED_ROWS_WORD))
  }

  static readonly maxRows = MAX_ROWS
}
