/**
 * A row of the registry, about one kind of store: facts that hold for every pool of it, and, where its memory
 * is a region of this machine, how a region is found, probed and opened. Types alone.
 */
import type { PhysicalRange } from '../linux/memory-ranges.ts'
import type { Errno } from '../values/errno.ts'
import type { ObjectId } from '../values/ids.ts'
import type { CarveOutType } from '../values/store-kinds.ts'
import type { Extent, FrameGrid, Owner, Placement, PoolPlace, Store } from './store.ts'

export interface StoreDriver {
  /** How its memory is set aside at boot; false: it uses ordinary memory of the host. */
  readonly carveOut: CarveOutType | false
  /** `in place`: no kernel uses the memory. `handover`: one kernel hands it to the next. `no`: it is lost. */
  readonly survivesKexec: 'in place' | 'handover' | 'no'
  /** The largest pages that can map guest RAM, in bytes. */
  readonly largestPageBytes: number
  /** As in `PlacementRules`, so that an image can be checked without its store. */
  readonly chunkBlocks: number | undefined
  /**
   * `region` null: the only one there is. Throws UsageError: one line that says what to do. undefined: the
   * memory is not a region, the keeper holds it (memfd).
   */
  readonly find: ((region: string | null) => Region) | undefined
}

export interface Region {
  readonly name: string
  /**
   * Two mounts of one region exclude each other by a lock of this name: its address, which no renumbering of
   * devices changes.
   */
  readonly lockName: string
  /**
   * The memory itself, which the kernel lets one pool lock: a part that two regions have in common excludes
   * them as well.
   */
  readonly lockRange: PhysicalRange
  readonly totalBlocks: number
  readonly frames: FrameGrid | undefined
  readonly place: PoolPlace | undefined
  /** Errors: UsageError where another program uses it, or the kernel does not let this process map it. */
  probe(probe: ImageProbe): Content
  /** The caller holds its lock, and has probed it. Errors: UsageError, nothing changed; SystemCallError. */
  open(pool: string): Store
  /** The metadata area of one that is being served, or was probed. Errors: UsageError. */
  readMetadata(): Uint8Array
  /**
   * Access to memory objects before a server has opened the region, of one that was probed and holds an image
   * of ours. The caller holds its lock. Left out where only a server can give it.
   */
  early?(pool: string): EarlyRegion
}

/**
 * What it makes is what the server would make, so that the server finds it as that of a former server. It
 * writes no byte of the region but those of `write`.
 */
export interface EarlyRegion {
  /** Makes guest RAM reachable at the path that it returns. Errors: those of `NodeRam.publish`. */
  reach(object: ObjectId, placement: Placement, owner: Owner): string | Errno
  /** A copy of the first `sizeBytes` of an ordinary file. Errors: EIO (a poisoned page), ENOMEM. */
  read(extents: readonly Extent[], sizeBytes: number): Uint8Array | Errno
  /**
   * Over the first bytes of an ordinary file: they are in the pool's memory when this returns. Errors: as of
   * `read`.
   */
  write(extents: readonly Extent[], bytes: Uint8Array): Errno | undefined
  close(): void
}

/** What the beginning of a metadata area is: `probe` of fs/image/header.ts. */
export type ImageProbe = (firstBytes: Uint8Array) => 'image' | 'unfinished' | 'blank' | 'foreign'

export type Content =
  /** An image of guestmemfs, or one that was never finished: to be opened. */
  | { readonly content: 'ours' }
  /** The first page of every block is zero: it may be formatted. */
  | { readonly content: 'zero' }
  /**
   * Other data, or what the last owner of this RAM left: only overwritten on request. `why`: for messages.
   */
  | { readonly content: 'foreign'; readonly why: string }
