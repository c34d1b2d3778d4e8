/**
 * The contract between the file system and the memory under it: `Store` is what every kind of memory can do,
 * its facets are what some kinds can do besides. A store makes memory objects and provides their mappings; it
 * never sees a name, a directory or a mode. A new kind is a folder that implements `Store` and a row of
 * registry.ts.
 */

import type { Holder } from '../linux/holders.ts'
import type { PhysicalRange } from '../linux/memory-ranges.ts'
import type { Errno } from '../values/errno.ts'
import type { HandoverStep } from '../values/handover-step.ts'
import type { ObjectId } from '../values/ids.ts'
import type { Mapping, Via } from '../values/mapping.ts'
import type { Refusal, Wait } from '../values/refusal.ts'
import type { StoreUse } from '../values/store-use.ts'
import { PMD_BYTES } from '../values/units.ts'
import type { MemoryFailures } from './memory-failures.ts'
import type { StoreEvents } from './store-events.ts'

/** Pool allocation unit in bytes: one PMD mapping. */
export const BLOCK_BYTES = PMD_BYTES

/** A chunk of a carve-out's store in blocks: 64 MiB. Part of its persistent format. */
export const CHUNK_BLOCKS = 32

/** A run of pool blocks: `start` and `count` in units of `BLOCK_BYTES` from the pool's beginning. */
export interface Extent {
  readonly start: number
  readonly count: number
}

/** Gigantic pages of `blocks` blocks each (512 for 1 GiB); the first that fits begins at block `first`. */
export interface FrameGrid {
  readonly blocks: number
  readonly first: number
}

/** What one memory object must be. `sizeBytes` is exact; `extents` cover it, rounded up to blocks. */
export interface Placement {
  readonly sizeBytes: number
  readonly extents: readonly Extent[]
  /**
   * Guest RAM is mapped by a guest, any other object is read and written by the server: a store may use other
   * blocks for each.
   */
  readonly guestRam: boolean
  /** Guest RAM that is mapped by gigantic pages: its extents are whole frames. */
  readonly gigantic?: boolean
}

/** Where the blocks of an object may lie. */
export interface PlacementRules {
  /**
   * Ordinary files have their blocks in data chunks: aligned runs of so many blocks (the last one may be
   * shorter), apart from guest RAM. Which chunk is a data chunk follows from what inodes own, and changes
   * with that. undefined: no such zones.
   */
  readonly chunkBlocks: number | undefined
  /** Guest RAM must be one extent: its mapping has one offset. */
  readonly contiguous: boolean
  /** Where gigantic pages can lie; undefined: this memory cannot be mapped by them. */
  readonly frames: FrameGrid | undefined
}

/** For a store that takes blocks from anywhere. */
export const NO_RULES: PlacementRules = { chunkBlocks: undefined, contiguous: false, frames: undefined }

/** A part of a pool's physical memory that is of one memory node (NUMA). */
export interface NodePart extends PhysicalRange {
  readonly node: number
}

/** The physical memory that is set aside for a pool. */
export interface PoolPlace extends PhysicalRange {
  /** Ascending; left out where the kernel does not show which node's it is. */
  readonly nodes?: readonly NodePart[]
}

/** Facts about a store that hold as long as it is open. */
export interface StoreDescriptor {
  /** As the image of the pool spells it. */
  readonly kind: string
  /**
   * What clears a released block before another file gets it: the kernel (fresh pages), or the store's zeroer
   * (`ours`).
   */
  readonly clearing: 'kernel' | 'ours'
  /** Pool size in blocks. */
  readonly totalBlocks: number
  readonly rules: PlacementRules
  /** The physical memory that is set aside for the pool; undefined: ordinary memory of the host. */
  readonly place: PoolPlace | undefined
}

/**
 * The state of a memory object between two kernels, in LUO's words. `outgoing`: being preserved, or
 * preserved; its size is fixed until it is unpreserved. `incoming`: preserved by the former kernel and not
 * retrieved yet; operations that need it wait. `lost`: it cannot be retrieved; its file can be truncated to 0
 * or deleted, and all else gets EIO.
 */
export const MEMORY_STATES = ['present', 'outgoing', 'incoming', 'lost'] as const
export type MemoryState = (typeof MEMORY_STATES)[number]

export interface Store {
  readonly descriptor: StoreDescriptor
  /**
   * A new, empty object that survives this process from the moment this returns. Refusals: ENOMEM, EMFILE, a
   * Wait.
   */
  create(): ObjectId | Refusal
  /**
   * After a start, once for each object that an inode owns: what the image says about it. Before all other
   * calls.
   */
  adopt(object: ObjectId, as: Placement): void
  /**
   * Makes the object as large as `to` says: the bytes kept are kept, new bytes read as zero, also those in
   * what was its last block, whatever a server that died left there. Guest RAM that the server does not write
   * keeps its last block whole, with the guest's own bytes behind its size. Idempotent. The blocks of `to`
   * that are new are clean and not logged as this object's yet; those it no longer names are no longer its
   * own and are left as they are. Refusals: ENOMEM, EFBIG, EPERM; EBUSY where a process maps what would have
   * to go; a Wait. Nothing has changed then.
   */
  resize(object: ObjectId, to: Placement): Refusal | undefined
  /** True while a process maps the object: its blocks must not be used again yet. A Wait: not known yet. */
  isHeld(object: ObjectId): boolean | Wait
  /**
   * For messages: a process that the last search found to hold it. Of a store that searches for holders
   * itself.
   */
  holder?(object: ObjectId): Holder | undefined
  /**
   * Releases the object's memory. Called after the record that removes it, and again after a crash in
   * between. Idempotent.
   */
  release(object: ObjectId): void
  /**
   * Objects that exist. One that no inode owns after recovery was never acknowledged, or was removed:
   * recovery releases it.
   */
  objects(): Iterable<ObjectId>
  state(object: ObjectId): MemoryState
  /** Bytes that last exactly as long as the pool's memory: the persistent image is kept here. */
  metadataArea(): Uint8Array

  readonly data: FileData
  readonly ram: GuestRam
  readonly events?: StoreEvents | undefined
  /** Where the store clears blocks itself. */
  readonly zeroer?: Zeroer | undefined
  /** undefined: the kernel keeps memory that fails out of what it gives to this store. */
  readonly memoryFailures?: MemoryFailures | undefined
  /** undefined: the memory outlives a kernel by itself, or not at all. */
  readonly handover?: Handover | undefined
  /** undefined: the memory is a region, whose size is the pool's. */
  readonly hostMemory?: HostMemory | undefined
  readonly pending?: PendingReleases | undefined
}

/**
 * Reads and writes ordinary files, and punches holes in guest RAM that is mapped by FUSE passthrough. The
 * blocks exist. After a Wait nothing has changed.
 */
export interface FileData {
  /**
   * Returns bytes read; reads past the end return fewer. Errors of the kernel, as EIO for a poisoned page:
   * nothing was read.
   */
  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal
  /**
   * Returns bytes written: fewer where the next one cannot be stored. Errors of the kernel: nothing was
   * written.
   */
  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal
  /** fallocate(2) PUNCH_HOLE: the range reads as zero afterwards. */
  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined
  /** lseek(2) SEEK_DATA (3) and SEEK_HOLE (4). Errors: ENXIO past the end. */
  seek(object: ObjectId, offset: number, whence: number): number | Refusal
}

/** How guests map their RAM: one way for all objects of a store, but an object may have no mapping. */
export type GuestRam = RamVia<'passthrough'> | RamVia<'devmem'> | NodeRam

interface RamVia<V extends Via> {
  readonly via: V
  mapping(object: ObjectId, placement: Placement): Extract<Mapping, { via: V | 'none' }>
}

/** The file is shown as a symlink to a node that the store makes. */
export interface NodeRam extends RamVia<'dax-node'> {
  /** Where the node is, or will be. */
  path(object: ObjectId): string
  /**
   * Makes sure that the node maps this guest RAM, and no more than that. A node that exists keeps its owner:
   * `chown` of the name changed that one. Refusals: EINVAL (not guest RAM), EIO, EBUSY; a Wait.
   */
  publish(object: ObjectId, placement: Placement, owner: Owner): Refusal | undefined
  /** The owner of the node, undefined where there is none. Errors: why the node cannot be looked at. */
  owner(object: ObjectId): Owner | Errno | undefined
  /**
   * Sets owner and mode of the node, where there is one, both at once. Errors: the node is as it was (ENOSPC:
   * there is no room for another one; ENOMEM; EROFS).
   */
  own(object: ObjectId, owner: Owner): Errno | undefined
  /** Removes the node, where there is one: `publish` makes it anew. Errors: it is there still. */
  unpublish(object: ObjectId): Errno | undefined
}

export interface Owner {
  readonly uid: number
  readonly gid: number
  /** Permission bits, 07777. */
  readonly mode: number
}

export interface RefusedExtent {
  readonly extent: Extent
  readonly errno: Errno
}

/** Zeroes blocks that no file owns. */
export interface Zeroer {
  /** False: one extent is being zeroed already. */
  start(extent: Extent): boolean
  /** Extents whose last byte was zeroed since the last call. */
  finished(): Extent[]
  /**
   * Extents that could not be zeroed, since the last call: they stay dirty. EBUSY: a process maps a block of
   * it. EHWPOISON: a page of it cannot be written. Other errnos, as ENOMEM: no block of it can be mapped now.
   */
  refused(): RefusedExtent[]
  /** Of the extent under way. */
  readonly progressBytes: number
}

/** Releases that were put off, to send many at once. */
export interface PendingReleases {
  readonly isPending: boolean
  /** Called while no request waits. */
  flush(): void
}

export interface HandoverStatus {
  /** The one under way, or the last one. */
  readonly step: HandoverStep | 'none'
  readonly state: 'idle' | 'busy' | 'done' | 'failed' | 'undoing'
  /** Objects to be preserved by the steps so far, and those that are. */
  readonly objects: number
  readonly preserved: number
  /** Of a step that failed. `object`: undefined where it was not about one. */
  readonly failure: { readonly errno: Errno; readonly object: ObjectId | undefined } | undefined
}

/** Ordinary memory of the host, which processes hold: its pool has any size, and the image states it. */
export interface HostMemory {
  /** Called with the pool's size, at the start and when it changes. */
  resized(totalBlocks: number): void
  /** undefined: no service manager has copies of the objects. */
  readonly storeUse: StoreUse | undefined
}

/** For memory that outlives a kernel only where it is preserved for the next one: slow work of the keeper. */
export interface Handover {
  readonly status: HandoverStatus
  /**
   * Why `step` cannot begin now: EBUSY while another one is under way or has failed, EINVAL where it is not
   * next.
   */
  refusal(step: HandoverStep): Errno | undefined
  /** The caller has checked `refusal`. From here on the objects are `outgoing`. */
  preserve(step: 'ram' | 'files', objects: readonly ObjectId[]): void
  /**
   * The last step: `image` is what the next kernel's server opens. Errors: ENOMEM, EMFILE, ENOSPC, EFBIG: the
   * step was not begun.
   */
  preserveImage(image: Uint8Array): Errno | undefined
  /** Begins to unpreserve everything; `status` is `idle` at the end. No effect where nothing was begun. */
  unpreserve(): void
  /** After a start: unpreserves what a former server left half done. */
  recover(isFrozen: boolean): void
  /** How many objects are in that state. Costs the same for any number of objects. */
  absent(state: 'incoming' | 'lost'): number
  /** Bytes that the kernel would have to allocate to preserve these objects: their holes. */
  holeBytes(objects: Iterable<ObjectId>): number
}
