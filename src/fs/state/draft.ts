/**
 * Owns the change one operation is about to make: it collects new values, shows the operation its own changes,
 * and hands out the entries of one record. Changing the same inode twice leaves one entry. Nothing happens
 * to the state until those entries are committed.
 */
import type { Extent } from '../../stores/store.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { BlockState, Entry } from './entry.ts'
import type { Inode, Timestamp } from './inode.ts'
import type { PoolRecord, State } from './state.ts'

/** Generations are the high 32 bits of a node id; a counter that never goes back stands behind them. */
const GENERATIONS = 2 ** 32

export class Draft {
  readonly #state: State
  readonly #inodes = new Map<Ino, Inode>()
  readonly #blocks: Entry[] = []
  readonly #rest: Entry[] = []
  #pool: PoolRecord | undefined
  #finished: readonly Entry[] | undefined

  constructor(state: State) {
    this.#state = state
  }

  /**
   * Ordered so that whoever follows the tables one entry at a time never sees a file own dirty blocks, nor a name
   * that points nowhere: blocks first, then inodes, then names and xattrs. Asking finishes the draft: the same list
   * is asked about and then committed, so that the journal measures it once.
   */
  entries(): readonly Entry[] {
    if (!this.#finished) {
      const inodes = [...this.#inodes.values()].map((inode): Entry => ({ kind: 'inode', inode }))
      this.#finished = [...this.#blocks, ...inodes, ...this.#rest, ...(this.#pool ? [this.#pool] : [])]
    }
    return this.#finished
  }

  /** Replaces some fields of an inode that exists. Returns the new value. */
  change(inode: Inode, fields: Partial<Inode>): Inode {
    const changed = { ...(this.#inodes.get(inode.ino) ?? inode), ...fields }
    this.#inodes.set(inode.ino, changed)
    return changed
  }

  /** A new inode, with the next generation. */
  add(inode: Omit<Inode, 'generation'>): Inode {
    const { nextGeneration } = this.#pool ?? this.#state.pool
    this.pool({ nextGeneration: nextGeneration + 1 })
    return this.change(inode as Inode, { generation: nextGeneration % GENERATIONS })
  }

  /** An inode is no more, and its xattrs with it. */
  remove(ino: Ino): void {
    for (const name of this.#state.xattrs.get(ino)?.keys() ?? []) this.removeXattr(ino, name)
    this.#inodes.delete(ino)
    this.#rest.push({ kind: 'inode-gone', ino })
  }

  /** A name that did not exist takes the next cookie; one that did keeps its own, so that listings do not jump. */
  name(parent: Ino, name: ByteString, ino: Ino): void {
    let cookie = this.#state.directories.get(parent)?.get(name)?.cookie
    if (cookie === undefined) {
      cookie = (this.#pool ?? this.#state.pool).nextCookie
      this.pool({ nextCookie: cookie + 1 })
    }
    this.#rest.push({ kind: 'name', parent, name, ino, cookie })
  }

  removeName(parent: Ino, name: ByteString): void {
    this.#rest.push({ kind: 'name-gone', parent, name })
  }

  xattr(ino: Ino, name: ByteString, value: Uint8Array): void {
    this.#rest.push({ kind: 'xattr', ino, name, value })
  }

  removeXattr(ino: Ino, name: ByteString): void {
    this.#rest.push({ kind: 'xattr-gone', ino, name })
  }

  blocks(extents: readonly Extent[], state: BlockState): void {
    for (const extent of extents) this.#blocks.push({ kind: 'blocks', extent, state })
  }

  pool(fields: Partial<Omit<PoolRecord, 'kind'>>): void {
    this.#pool = { ...(this.#pool ?? this.#state.pool), ...fields }
  }

  /** The names in a directory changed: POSIX marks its mtime and ctime; `links` when a subdirectory came or went. */
  touchDirectory(directory: Inode, now: Timestamp, linksBy = 0): void {
    const { links } = this.#inodes.get(directory.ino) ?? directory
    this.change(directory, { mtime: now, ctime: now, links: links + linksBy })
  }

  /** One name of this inode is gone; without any it becomes an orphan. A directory loses its `.` with its name. */
  unlink(inode: Inode, now: Timestamp): void {
    const { links } = this.#inodes.get(inode.ino) ?? inode
    this.change(inode, {
      links: inode.kind === 'directory' ? 0 : links - 1,
      ctime: now,
    })
  }
}
