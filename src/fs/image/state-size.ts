/**
 * The size of the state as entries, in bytes, kept up to date entry by entry: so the size of its checkpoint
 * is known before an operation is admitted. Must not: read the state itself.
 */
import type { ByteString, Ino } from '../../values/ids.ts'
import { BlockStates, type StatedRun } from '../space/block-states.ts'
import type { Entry } from '../state/entry.ts'
import { ByteCounter } from './byte-sink.ts'
import { encodeEntry } from './codec.ts'

const counter = new ByteCounter()

/** A range of blocks takes a tag, a state and two varints; stating one can split another in two. */
const BLOCKS_GROWTH_BOUND = 2 * (2 + 2 * 8)

/** What entries would do to the state: bytes it grows by at most, and keys it would hold more (or fewer). */
export interface Forecast {
  readonly growthBytes: number
  readonly newKeys: number
}

/** Encoded size of one entry in bytes. */
export function entryBytes(entry: Entry): number {
  counter.clear()
  encodeEntry(entry, counter)
  return counter.length
}

/** Of a name, or of an xattr, or the number of a property. */
type Key = ByteString | number

/** Sizes by key below one inode, and their sum, so that the inode can go at once. */
class Sizes {
  readonly byKey = new Map<Key, number>()
  total = 0

  /** Returns what the sum grew by. */
  set(key: Key, bytes: number): number {
    const growth = bytes - (this.byKey.get(key) ?? 0)
    if (bytes === 0) this.byKey.delete(key)
    else this.byKey.set(key, bytes)
    this.total += growth
    return growth
  }
}

export class StateSize {
  readonly #inodes = new Map<Ino, number>()
  readonly #names = new Map<Ino, Sizes>()
  readonly #xattrs = new Map<Ino, Sizes>()
  readonly #properties = new Map<Ino, Sizes>()
  readonly #blocks = new BlockStates()
  #pool = 0
  #total = 0

  get totalBytes(): number {
    return this.#total
  }

  /**
   * What `entries`, of `sizes` bytes each, would do. A key stated twice in one list is counted as if each
   * were the only one: wrong by less than the list's own size, which a slot has room for.
   */
  forecast(entries: readonly Entry[], sizes: readonly number[]): Forecast {
    let growthBytes = 0
    let newKeys = 0
    entries.forEach((entry, index) => {
      if (entry.kind === 'blocks') growthBytes += BLOCKS_GROWTH_BOUND
      else {
        const before = this.#heldBytes(entry)
        const after = entry.kind.endsWith('-gone') ? 0 : (sizes[index] ?? 0)
        growthBytes += after - before
        newKeys += Number(after > 0) - Number(before > 0)
      }
    })
    return { growthBytes, newKeys }
  }

  /** Size of what the state holds under the key that `entry` states. */
  #heldBytes(entry: Exclude<Entry, { kind: 'blocks' }>): number {
    switch (entry.kind) {
      case 'inode':
        return this.#inodes.get(entry.inode.ino) ?? 0
      case 'inode-gone':
        return this.#inodes.get(entry.ino) ?? 0
      case 'name':
      case 'name-gone':
        return this.#names.get(entry.parent)?.byKey.get(entry.name) ?? 0
      case 'xattr':
      case 'xattr-gone':
        return this.#xattrs.get(entry.ino)?.byKey.get(entry.name) ?? 0
      case 'property':
      case 'property-gone':
        return this.#properties.get(entry.ino)?.byKey.get(entry.number) ?? 0
      case 'pool':
        return this.#pool
    }
  }

  /** `bytes`: the entry's encoded size. */
  add(entry: Entry, bytes: number): void {
    this.#total += this.#grow(entry, bytes)
  }

  #grow(entry: Entry, bytes: number): number {
    switch (entry.kind) {
      case 'inode':
        return this.#setInode(entry.inode.ino, bytes)
      case 'inode-gone':
        return [this.#names, this.#xattrs, this.#properties].reduce(
          (growth, sizes) => growth - drop(sizes, entry.ino),
          this.#setInode(entry.ino, 0),
        )
      case 'name':
        return set(this.#names, entry.parent, entry.name, bytes)
      case 'name-gone':
        return set(this.#names, entry.parent, entry.name, 0)
      case 'xattr':
        return set(this.#xattrs, entry.ino, entry.name, bytes)
      case 'xattr-gone':
        return set(this.#xattrs, entry.ino, entry.name, 0)
      case 'property':
        return set(this.#properties, entry.ino, entry.number, bytes)
      case 'property-gone':
        return set(this.#properties, entry.ino, entry.number, 0)
      case 'blocks': {
        const { removed, added } = this.#blocks.set(entry.extent, entry.state)
        return sum(added) - sum(removed)
      }
      case 'pool': {
        const growth = bytes - this.#pool
        this.#pool = bytes
        return growth
      }
    }
  }

  #setInode(ino: Ino, bytes: number): number {
    const growth = bytes - (this.#inodes.get(ino) ?? 0)
    if (bytes === 0) this.#inodes.delete(ino)
    else this.#inodes.set(ino, bytes)
    return growth
  }
}

function set(maps: Map<Ino, Sizes>, ino: Ino, key: Key, bytes: number): number {
  let sizes = maps.get(ino)
  if (sizes === undefined) {
    if (bytes === 0) return 0
    sizes = new Sizes()
    maps.set(ino, sizes)
  }
  const growth = sizes.set(key, bytes)
  if (sizes.byKey.size === 0) maps.delete(ino)
  return growth
}

function drop(maps: Map<Ino, Sizes>, ino: Ino): number {
  const total = maps.get(ino)?.total ?? 0
  maps.delete(ino)
  return total
}

const sum = (runs: readonly StatedRun[]): number =>
  runs.reduce(
    (bytes, { start, count, state }) =>
      bytes + entryBytes({ kind: 'blocks', extent: { start, count }, state }),
    0,
  )
