/**
 * The names of each inode: finds one of them in constant time, whatever others were added and removed. An
 * inode with one name costs one row of a map; only one that has had several has a list of the others.
 */
import type { Ino } from '../../values/ids.ts'
import type { DirectoryEntry } from './directory.ts'

/** Removed names stay in a list until they are this many and outnumber the others. */
const STALE_MIN = 64

interface OtherNames {
  /** Former latest names of the inode. Those that are gone are stale. */
  entries: DirectoryEntry[]
  stale: number
}

export class NameIndex {
  readonly #isThere: (entry: DirectoryEntry) => boolean
  /** The latest name. */
  readonly #names = new Map<Ino, DirectoryEntry>()
  readonly #others = new Map<Ino, OtherNames>()

  /** `isThere`: whether a directory holds this very entry now. */
  constructor(isThere: (entry: DirectoryEntry) => boolean) {
    this.#isThere = isThere
  }

  get(ino: Ino): DirectoryEntry | undefined {
    return this.#names.get(ino)
  }

  /** The directory holds `after` already, and `before` no more. */
  changed(before: DirectoryEntry | undefined, after: DirectoryEntry | undefined): void {
    if (before) this.#remove(before)
    if (after) this.#add(after)
  }

  #add(entry: DirectoryEntry): void {
    const latest = this.#names.get(entry.ino)
    this.#names.set(entry.ino, entry)
    if (latest === undefined) return
    const others = this.#others.get(entry.ino)
    if (others) others.entries.push(latest)
    else this.#others.set(entry.ino, { entries: [latest], stale: 0 })
  }

  #remove(entry: DirectoryEntry): void {
    const { ino } = entry
    const others = this.#others.get(ino)
    if (this.#names.get(ino) === entry) {
      const next = others && this.#takeCurrent(others)
      if (next) this.#names.set(ino, next)
      else this.#names.delete(ino)
    } else if (others) {
      others.stale++
      if (others.stale >= STALE_MIN && others.stale * 2 > others.entries.length) this.#compact(others)
    }
    if (others && others.entries.length === others.stale) this.#others.delete(ino)
  }

  /** Each stale entry is met once: the cost is that of the removal that made it stale. */
  #takeCurrent(others: OtherNames): DirectoryEntry | undefined {
    for (;;) {
      const entry = others.entries.pop()
      if (entry === undefined || this.#isThere(entry)) return entry
      others.stale--
    }
  }

  #compact(others: OtherNames): void {
    others.entries = others.entries.filter(this.#isThere)
    others.stale = 0
  }
}
