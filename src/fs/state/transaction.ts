/**
 * One change of the file system, made for one request: it collects new values, shows the operation its own
 * changes, and commits them as one record. Changing the same inode twice leaves one entry. The state changes
 * at the commit. Every modifying operation has the same shape:
 *
 *   check -> collect the entries -> is there room for the record (ENOSPC) -> make or grow memory
 *         -> commit the record -> shrink or release memory -> result
 *
 * so that a failure at any step leaves nothing behind, and a crash at any step leaves the state of before or
 * of after: recovery releases or cuts back memory that exists without a record, and releases again what a
 * record released.
 */
import type { Extent } from '../../stores/store.ts'
import { ENOSPC, Errno } from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import { PERMISSION_BITS, S_ISGID } from '../../values/uapi.ts'
import type { BlockState, Entry, NameAt, Origin } from './entry.ts'
import type { FileKind, Inode } from './inode.ts'
import { GENERATIONS, INO_MAX } from './limits.ts'
import type { PoolEntry } from './state.ts'
import type { Caller, OwnRequest, Volume } from './volume.ts'

/** `OwnRequest`: of the server's own work, which no caller requested and which changes no timestamp. */
export class Transaction<R extends OwnRequest = Caller> {
  readonly volume: Volume
  readonly rq: R
  readonly #inodes = new Map<Ino, Inode>()
  readonly #blocks: Entry[] = []
  readonly #rest: Entry[] = []
  #pool: PoolEntry | undefined
  #finished: readonly Entry[] | undefined

  constructor(volume: Volume, rq: R) {
    this.volume = volume
    this.rq = rq
  }

  /**
   * Ordered so that a reader that follows the tables one entry at a time never sees a file own dirty blocks,
   * nor a name that points nowhere: blocks first, then inodes, then names and xattrs. The first call ends the
   * collecting: the journal gets the same list for `fits` and for `commit`, and measures it once.
   */
  #entries(): readonly Entry[] {
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

  /**
   * A new inode of the caller's, named `at` in a directory that exists. Errors: ENOSPC, no inode number is
   * left.
   */
  addInode(this: Transaction, at: NameAt, kind: FileKind, fields: Partial<Inode>): Inode | Errno {
    const directory = this.volume.directory(at.parent)
    if (directory instanceof Errno) return directory
    const ino = this.volume.index.nextIno()
    if (ino > INO_MAX) return ENOSPC
    const { uid, gid, now } = this.rq
    const { nextGeneration } = this.#pool ?? this.volume.state.pool
    this.pool({ nextGeneration: nextGeneration + 1 })
    const inode: Inode = {
      ino,
      generation: nextGeneration % GENERATIONS,
      kind,
      uid,
      gid: directory.mode & S_ISGID ? directory.gid : gid,
      links: 1,
      sizeBytes: 0,
      atime: now,
      mtime: now,
      ctime: now,
      object: undefined,
      extents: [],
      guestRam: false,
      gigantic: false,
      rdev: 0,
      target: '' as ByteString,
      ...fields,
      mode: (fields.mode ?? 0) & PERMISSION_BITS,
    }
    this.#inodes.set(ino, inode)
    this.name(at, ino)
    this.touchDirectory(directory, kind === 'directory' ? 1 : 0)
    return inode
  }

  /** Removes an inode, its xattrs and its properties. */
  remove(ino: Ino): void {
    const { xattrs, properties } = this.volume.state
    for (const name of xattrs.get(ino)?.keys() ?? []) this.removeXattr(ino, name)
    for (const number of properties.get(ino)?.keys() ?? [])
      this.#rest.push({ kind: 'property-gone', ino, number })
    this.#inodes.delete(ino)
    this.#rest.push({ kind: 'inode-gone', ino })
  }

  /**
   * A name that did not exist takes the next cookie; one that did keeps its own, so that no listing skips or
   * repeats it.
   */
  name({ parent, name }: NameAt, ino: Ino): void {
    let cookie = this.volume.state.directories.get(parent)?.get(name)?.cookie
    if (cookie === undefined) {
      cookie = (this.#pool ?? this.volume.state.pool).nextCookie
      this.pool({ nextCookie: cookie + 1 })
    }
    this.#rest.push({ kind: 'name', parent, name, ino, cookie })
  }

  removeName({ parent, name }: NameAt): void {
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

  pool(fields: Partial<Omit<PoolEntry, 'kind'>>): void {
    this.#pool = { ...(this.#pool ?? this.volume.state.pool), ...fields }
  }

  /**
   * The names in a directory changed: POSIX marks its mtime and ctime; `linksBy` when a subdirectory was
   * added or removed.
   */
  touchDirectory(this: Transaction, directory: Inode, linksBy = 0): void {
    const { now } = this.rq
    const { links } = this.#inodes.get(directory.ino) ?? directory
    this.change(directory, { mtime: now, ctime: now, links: links + linksBy })
  }

  /**
   * One name of this inode is gone; without any it becomes an orphan. A directory loses its `.` with its
   * name.
   */
  unlink(this: Transaction, inode: Inode): void {
    const { links } = this.#inodes.get(inode.ino) ?? inode
    this.change(inode, {
      links: inode.kind === 'directory' ? 0 : links - 1,
      ctime: this.rq.now,
    })
  }

  /** Any other entry that states a key of its own. */
  state(entry: Extract<Entry, { kind: 'property' }>): void {
    this.#rest.push(entry)
  }

  /** ENOSPC when the image has no room for this record. An operation calls it before it does anything. */
  noRoom(): Errno | undefined {
    return this.volume.journal.fits(this.#entries()) ? undefined : ENOSPC
  }

  /**
   * `noRoom` must have returned undefined, and nothing may have been committed since. `origin`: of another
   * request than this one.
   */
  commit(origin: Origin = this.rq.origin): void {
    this.volume.journal.commit(origin, this.#entries())
  }

  /** For operations that touch the state alone. */
  commitIfRoom(): Errno | undefined {
    const failure = this.noRoom()
    if (failure) return failure
    this.commit()
    return undefined
  }
}

export type OwnTransaction = Transaction<OwnRequest>
