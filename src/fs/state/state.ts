/**
 * The whole state of a file system as tables of absolute values, one per key: inodes, names, xattrs,
 * properties, states of blocks, and the pool's record. `apply` is the only thing that changes it.
 *
 * At recovery a log is replayed over a checkpoint that was written piecemeal while the log went on, so
 * `apply` meets values older than the ones it holds, and tables that contradict each other for a while. It
 * therefore only sets and deletes single keys and never checks one table against another: after the last
 * entry every key holds the value last written to it. What follows from several tables (owned blocks,
 * orphans, parents) is kept by an observer that starts once the tables are at rest.
 */
import type { Extent } from '../../stores/store.ts'
import { type ByteString, type Ino, ROOT_INO } from '../../values/ids.ts'
import { BlockStates } from '../space/block-states.ts'
import { Directory, type DirectoryEntry } from './directory.ts'
import type { Entry } from './entry.ts'
import type { Inode, Timestamp } from './inode.ts'
import { verifyTables } from './verify.ts'

type BlocksEntry = Extract<Entry, { kind: 'blocks' }>
type PropertyEntry = Extract<Entry, { kind: 'property' }>
export type PoolEntry = Extract<Entry, { kind: 'pool' }>

/** Cookies 1 and 2 are `.` and `..`; 0 begins a listing. */
const FIRST_COOKIE = 3
const EMPTY = '' as ByteString

export type XattrKey = Pick<Extract<Entry, { kind: 'xattr-gone' }>, 'ino' | 'name'>

/** Called for every change after it was made, with the value that was there before. */
export interface StateObserver {
  inodeChanged(before: Inode | undefined, after: Inode | undefined): void
  nameChanged(before: DirectoryEntry | undefined, after: DirectoryEntry | undefined): void
  xattrChanged(key: XattrKey, isSet: boolean): void
  blocksStated(entry: BlocksEntry): void
  propertyStated(entry: PropertyEntry): void
}

export class State {
  readonly inodes = new Map<Ino, Inode>()
  /** A directory without names has no row. */
  readonly directories = new Map<Ino, Directory>()
  /** An inode without xattrs has no row. */
  readonly xattrs = new Map<Ino, Map<ByteString, Uint8Array>>()
  /** An inode without properties has no row. */
  readonly properties = new Map<Ino, Map<number, Uint8Array>>()
  readonly blockStates = new BlockStates()
  pool: PoolEntry = { kind: 'pool', frozen: false, nextGeneration: 1, nextCookie: FIRST_COOKIE }
  #observer: StateObserver | undefined

  /**
   * A root directory and nothing else, owned by root. Its generation is 0, so that its node id is
   * FUSE_ROOT_ID. The first `dirtyBlocks` blocks hold unknown bytes, and are zeroed before a file gets them:
   * all blocks of a pool whose store clears blocks itself. `bad`: blocks that no file is to get.
   */
  static fresh(now: Timestamp, { dirtyBlocks = 0, bad = [] as readonly Extent[] } = {}): State {
    const state = new State()
    const times = { atime: now, mtime: now, ctime: now }
    const owner = { uid: 0, gid: 0, mode: 0o755, links: 2 }
    const content = {
      sizeBytes: 0,
      object: undefined,
      extents: [],
      guestRam: false,
      gigantic: false,
      rdev: 0,
      target: EMPTY,
    }
    const inode = { ino: ROOT_INO, generation: 0, kind: 'directory' as const, ...owner, ...times, ...content }
    state.apply({ kind: 'inode', inode })
    if (dirtyBlocks > 0)
      state.apply({ kind: 'blocks', extent: { start: 0, count: dirtyBlocks }, state: 'dirty' })
    for (const extent of bad) state.apply({ kind: 'blocks', extent, state: 'bad' })
    return state
  }

  /** From now on `observer` is called for every change. There is one at most. */
  observe(observer: StateObserver): void {
    this.#observer = observer
  }

  apply(entry: Entry): void {
    switch (entry.kind) {
      case 'inode': {
        const before = this.inodes.get(entry.inode.ino)
        this.inodes.set(entry.inode.ino, entry.inode)
        this.#observer?.inodeChanged(before, entry.inode)
        return
      }
      case 'inode-gone': {
        const before = this.inodes.get(entry.ino)
        this.inodes.delete(entry.ino)
        this.#observer?.inodeChanged(before, undefined)
        return
      }
      case 'name': {
        // Not inside the call: without an observer its arguments are never evaluated.
        const before = rowOf(this.directories, entry.parent, newDirectory).set(entry)
        this.#observer?.nameChanged(before, entry)
        return
      }
      case 'name-gone': {
        const directory = this.directories.get(entry.parent)
        const before = directory?.delete(entry.name)
        if (directory?.size === 0) this.directories.delete(entry.parent)
        this.#observer?.nameChanged(before, undefined)
        return
      }
      case 'xattr':
        rowOf(this.xattrs, entry.ino, newXattrs).set(entry.name, entry.value)
        this.#observer?.xattrChanged(entry, true)
        return
      case 'xattr-gone': {
        const xattrs = this.xattrs.get(entry.ino)
        xattrs?.delete(entry.name)
        if (xattrs?.size === 0) this.xattrs.delete(entry.ino)
        this.#observer?.xattrChanged(entry, false)
        return
      }
      case 'property':
        rowOf(this.properties, entry.ino, newProperties).set(entry.number, entry.value)
        this.#observer?.propertyStated(entry)
        return
      case 'property-gone': {
        const properties = this.properties.get(entry.ino)
        properties?.delete(entry.number)
        if (properties?.size === 0) this.properties.delete(entry.ino)
        return
      }
      case 'blocks':
        this.blockStates.set(entry.extent, entry.state)
        this.#observer?.blocksStated(entry)
        return
      case 'pool':
        this.pool = entry
        return
      default:
        entry satisfies never
    }
  }

  /**
   * The whole state as entries that rebuild it. Lazy: changes may be applied between two steps. A key that is
   * not touched meanwhile comes exactly once, with its value; one that is touched comes with some value it
   * had, or not at all (a caller that interleaves the two has the change in the log). Maps walk this way by
   * themselves; the runs of blocks are walked by block number.
   */
  *entries(): IterableIterator<Entry> {
    yield this.pool
    for (const inode of this.inodes.values()) yield { kind: 'inode', inode }
    for (const directory of this.directories.values()) yield* directory.values()
    for (const [ino, xattrs] of this.xattrs)
      for (const [name, value] of xattrs) yield { kind: 'xattr', ino, name, value }
    for (const [ino, properties] of this.properties)
      for (const [number, value] of properties) yield { kind: 'property', ino, number, value }
    for (let block = 0; ; ) {
      const run = this.blockStates.runBeyond(block)
      if (!run) return
      block = run.start + run.count
      yield { kind: 'blocks', extent: { start: run.start, count: run.count }, state: run.state }
    }
  }

  /**
   * Every way in which the tables contradict each other, one line each; empty where there is none. Reads
   * everything. `totalBlocks`: what the pool was made with. `chunkBlocks`: as the store has it.
   */
  verify(totalBlocks: number, chunkBlocks?: number): string[] {
    return verifyTables(this, totalBlocks, chunkBlocks)
  }
}

const newDirectory = () => new Directory()
const newXattrs = () => new Map<ByteString, Uint8Array>()
const newProperties = () => new Map<number, Uint8Array>()

function rowOf<Row>(table: Map<Ino, Row>, ino: Ino, make: () => Row): Row {
  const row = table.get(ino) ?? make()
  table.set(ino, row)
  return row
}
