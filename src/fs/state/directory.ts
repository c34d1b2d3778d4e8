/**
 * The names of one directory: found by name in constant time, listed in the order of their cookies. A cookie
 * stays with its name for as long as the name exists, so a listing that is interrupted goes on at the right
 * place whatever happened in between (readdir(3), `telldir`). It holds no inodes, and it does not decide
 * whether a name may exist.
 */
import type { ByteString } from '../../values/ids.ts'
import type { Entry } from './entry.ts'

/** A name is kept as the entry that made it: nothing is stored twice. */
export type DirectoryEntry = Extract<Entry, { kind: 'name' }>

/** Removed names stay in the order as stale entries until they are this many and outnumber the others. */
const STALE_MIN = 64

export class Directory {
  readonly #byName = new Map<ByteString, DirectoryEntry>()
  /** Ascending cookies. An entry that `#byName` does not hold is stale. */
  #order: DirectoryEntry[] = []
  #stale = 0

  get size(): number {
    return this.#byName.size
  }

  get(name: ByteString): DirectoryEntry | undefined {
    return this.#byName.get(name)
  }

  /** Adds a name or replaces what it names. Returns what was there before. */
  set(entry: DirectoryEntry): DirectoryEntry | undefined {
    const before = this.#byName.get(entry.name)
    this.#byName.set(entry.name, entry)
    if (before?.cookie === entry.cookie) {
      this.#order[this.#position(entry.cookie)] = entry
      return before
    }
    if (before) this.#stale++
    this.#insert(entry)
    this.#compact()
    return before
  }

  /** Returns the entry that is gone, if there was one. */
  delete(name: ByteString): DirectoryEntry | undefined {
    const before = this.#byName.get(name)
    if (!before) return undefined
    this.#byName.delete(name)
    this.#stale++
    this.#compact()
    return before
  }

  /**
   * In no particular order. Names may be added and removed during the iteration (as with the iterator of a
   * Map).
   */
  values(): IterableIterator<DirectoryEntry> {
    return this.#byName.values()
  }

  /**
   * The names whose cookie is greater than `cookie`, ascending. Names may be added and removed meanwhile; to
   * begin takes a binary search.
   */
  *after(cookie: number): IterableIterator<DirectoryEntry> {
    let last = cookie
    let order = this.#order
    let index = this.#position(last + 1)
    while (true) {
      if (order !== this.#order) {
        order = this.#order
        index = this.#position(last + 1)
      }
      const entry = order[index++]
      if (!entry) return
      if (this.#byName.get(entry.name) !== entry) continue
      last = entry.cookie
      yield entry
    }
  }

  /**
   * A running file system only ever appends, since cookies ascend. Only a replay over a newer checkpoint
   * brings an older cookie again: a name that a later record of the log removes.
   */
  #insert(entry: DirectoryEntry): void {
    const position = this.#position(entry.cookie)
    const stale = this.#order[position]?.cookie === entry.cookie
    if (stale) this.#stale--
    if (position === this.#order.length) this.#order.push(entry)
    else this.#order.splice(position, stale ? 1 : 0, entry)
  }

  /** The first index whose cookie is at least `cookie`. */
  #position(cookie: number): number {
    let low = 0
    let high = this.#order.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#order[middle] as DirectoryEntry).cookie < cookie) low = middle + 1
      else high = middle
    }
    return low
  }

  #compact(): void {
    if (this.#stale < STALE_MIN || this.#stale <= this.#byName.size) return
    this.#order = this.#order.filter((entry) => this.#byName.get(entry.name) === entry)
    this.#stale = 0
  }
}
