/**
 * The operations of the file system, as the server calls them. Each is decided in the file of its family. No
 * operation blocks, does I/O of its own or reads a clock. An `Errno` that is returned is the answer to the
 * request. After a `Wait` nothing has changed, and the server repeats the call: one for zeroing after
 * `markClean`, one for the store after the store's background work.
 */
import type { Extent, Store } from '../stores/store.ts'
import type { Errno } from '../values/errno.ts'
import type { ByteString, Ino } from '../values/ids.ts'
import type { Refusal } from '../values/refusal.ts'
import { type AtimeRule, accessed } from './operations/access.ts'
import { type AttributeChange, fallocate, setAttributes } from './operations/attributes.ts'
import { create, mkdir, mknod, symlink } from './operations/create.ts'
import { read, seekFile } from './operations/data.ts'
import { link, rmdir, unlink } from './operations/links.ts'
import { type ListedName, readDirectory, readlink } from './operations/listing.ts'
import { lookup, parentOf } from './operations/names.ts'
import { type Eviction, evict, orphans, recover, retryOrphans } from './operations/orphans.ts'
import { dirtyExtent, markClean, type PoolUse, setPoolFrozen, statfs } from './operations/pool.ts'
import { rename } from './operations/rename.ts'
import { retryShrinks } from './operations/resize.ts'
import { type WriteOptions, write } from './operations/write.ts'
import { getXattr, listXattrs, removeXattr, setXattr } from './operations/xattrs.ts'
import type { NameAt } from './state/entry.ts'
import type { Inode, SpecialKind } from './state/inode.ts'
import type { Journal } from './state/journal.ts'
import { Transaction } from './state/transaction.ts'
import { type Caller, type OwnRequest, Volume } from './state/volume.ts'
import { VirtualXattrs } from './xattrs/virtual-xattrs.ts'

export type { AttributeChange, Caller, Eviction, ListedName, NameAt, OwnRequest, PoolUse }

const nothingReferenced = () => false

export class FileSystem {
  readonly #volume: Volume
  readonly #virtual: VirtualXattrs

  /** `journal` was just made or opened. Call `recover` before anything else when it was opened. */
  constructor(journal: Journal, store: Store) {
    this.#volume = new Volume(journal, store)
    this.#virtual = new VirtualXattrs(this.#volume)
  }

  #begin<R extends OwnRequest>(rq: R): Transaction<R> {
    return new Transaction(this.#volume, rq)
  }

  // Names
  inode(ino: Ino): Inode | undefined {
    return this.#volume.state.inodes.get(ino)
  }
  lookup(parent: Ino, name: ByteString): Inode | Errno {
    return lookup(this.#volume, parent, name)
  }
  parentOf(ino: Ino): Ino | Errno {
    return parentOf(this.#volume, ino)
  }
  readDirectory(ino: Ino, cookie: number): Iterable<ListedName> | Errno {
    return readDirectory(this.#volume, ino, cookie)
  }
  readlink(ino: Ino): ByteString | Errno {
    return readlink(this.#volume, ino)
  }
  create(rq: Caller, at: NameAt, mode: number): Inode | Refusal {
    return create(this.#begin(rq), at, mode)
  }
  mkdir(rq: Caller, at: NameAt, mode: number): Inode | Errno {
    return mkdir(this.#begin(rq), at, mode)
  }
  symlink(rq: Caller, at: NameAt, target: ByteString): Inode | Errno {
    return symlink(this.#begin(rq), at, target)
  }
  mknod(rq: Caller, at: NameAt, kind: SpecialKind, mode: number, rdev: number): Inode | Errno {
    return mknod(this.#begin(rq), at, kind, mode, rdev)
  }
  link(rq: Caller, ino: Ino, to: NameAt): Inode | Errno {
    return link(this.#begin(rq), ino, to)
  }
  unlink(rq: Caller, at: NameAt): Errno | undefined {
    return unlink(this.#begin(rq), at)
  }
  rmdir(rq: Caller, at: NameAt): Errno | undefined {
    return rmdir(this.#begin(rq), at)
  }
  rename(rq: Caller, from: NameAt, to: NameAt, flags: number): Errno | undefined {
    return rename(this.#begin(rq), from, to, flags)
  }

  // Attributes and contents
  setAttributes(rq: Caller, ino: Ino, change: AttributeChange): Inode | Refusal {
    return setAttributes(this.#begin(rq), ino, change)
  }
  fallocate(rq: Caller, ino: Ino, mode: number, offset: number, length: number): Refusal | undefined {
    return fallocate(this.#begin(rq), ino, mode, offset, length)
  }
  read(ino: Ino, offset: number, into: Uint8Array): number | Refusal {
    return read(this.#volume, ino, offset, into)
  }
  accessed(rq: Caller, ino: Ino, rule: AtimeRule): void {
    accessed(this.#begin(rq), ino, rule)
  }
  write(
    rq: Caller,
    ino: Ino,
    offset: number,
    from: Uint8Array,
    options: WriteOptions = {},
  ): number | Refusal {
    return write(this.#begin(rq), ino, offset, from, options)
  }
  seek(ino: Ino, offset: number, whence: number): number | Refusal {
    return seekFile(this.#volume, ino, offset, whence)
  }

  // Extended attributes
  getXattr(ino: Ino, name: ByteString): Uint8Array | Errno {
    return getXattr(this.#volume, this.#virtual, ino, name)
  }
  setXattr(rq: Caller, ino: Ino, name: ByteString, value: Uint8Array, flags: number): Refusal | undefined {
    return setXattr(this.#begin(rq), ino, name, value, flags)
  }
  listXattrs(ino: Ino): ByteString[] | Errno {
    return listXattrs(this.#volume, ino)
  }
  removeXattr(rq: Caller, ino: Ino, name: ByteString): Errno | undefined {
    return removeXattr(this.#begin(rq), ino, name)
  }
  /** From now on the root has the xattr `guestmemfs.NAME` as well. */
  addRootXattr(name: string, value: () => string | Uint8Array): void {
    this.#virtual.add(name, value)
  }

  // The pool
  statfs(): PoolUse {
    return statfs(this.#volume)
  }
  get frozen(): boolean {
    return this.#volume.frozen
  }
  freeze(rq: OwnRequest): Errno | undefined {
    return setPoolFrozen(this.#begin(rq), true)
  }
  thaw(rq: OwnRequest): Errno | undefined {
    return setPoolFrozen(this.#begin(rq), false)
  }
  dirtyExtent(maxBlocks: number, except: readonly Extent[] = []): Extent | undefined {
    return dirtyExtent(this.#volume, maxBlocks, except)
  }
  markClean(rq: OwnRequest, extent: Extent): Errno | undefined {
    return markClean(this.#begin(rq), extent)
  }

  // Evictions, and the recovery after a crash
  evict(rq: OwnRequest, ino: Ino): Eviction | Errno {
    return evict(this.#volume, rq, ino)
  }
  orphans(): Inode[] {
    return orphans(this.#volume)
  }
  get orphanCount(): number {
    return this.#volume.index.orphans.size
  }
  /**
   * Whether the store has yet to find out of an orphan if a process maps it: else its blocks are free soon.
   * Only the first search for each orphan counts, so this ends also where one stays mapped.
   */
  get isSearching(): boolean {
    return this.#volume.searches.values().some((search) => search === 'begun')
  }
  /** Files whose object has more memory than their size says, because the kernel refused to free it. */
  get oversizedCount(): number {
    return this.#volume.oversized.size
  }
  retryShrinks(): void {
    retryShrinks(this.#volume)
  }
  retryOrphans(rq: OwnRequest, isReferenced: (ino: Ino) => boolean): number {
    return retryOrphans(this.#volume, rq, isReferenced)
  }
  *guestRam(): IterableIterator<Inode> {
    for (const inode of this.#volume.state.inodes.values()) if (inode.guestRam) yield inode
  }
  /** `isReferenced`: what the kernel still references, where its connection outlived the former server. */
  recover(rq: OwnRequest, isReferenced: (ino: Ino) => boolean = nothingReferenced): void {
    recover(this.#volume, rq, isReferenced)
  }
}
