/**
 * The contract between the file system and the memory under it: `Store` is what every kind of memory can do,
 * its facets are what some kinds can do besides. A store hands out memory objects and says how each is
 * mapped; it never sees a name, a directory or a mode. A new kind is a folder that implements `Store` and a
 * row of registry.ts.
 */
import type { Errno } from '../values/errno.ts'
import type { Fd, ObjectId } from '../values/ids.ts'
import type { Mapping, Via } from '../values/mapping.ts'
import type { Refusal, Wait } from '../values/refusal.ts'
import type { StoreUse } from '../values/store-use.ts'
import { PMD_BYTES } from '../values/units.ts'

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
  /** Guest RAM is mapped by a guest, any other object read and written by us: a store may keep them apart. */
  readonly guestRam: boolean
  /** Guest RAM that is mapped by gigantic pages: its extents are whole frames. */
  readonly gigantic?: boolean
}

/** Where the blocks of an object may lie. */
export interface PlacementRules {
  /**
   * Ordinary files live in data chunks: aligned runs of so many blocks (the last one may be shorter), apart
   * from guest RAM: which chunk is a data chunk follows from what inodes own and changes as they do.
   * undefined: no such zones.
   */
  readonly chunkBlocks: number | undefined
  /** Guest RAM must be one extent: its mapping has one offset. */
  readonly contiguous: boolean
  /** Where gigantic pages can lie; undefined: this memory cannot be mapped by them. */
  readonly frames: FrameGrid | undefined
}

/** For a store that takes blocks from anywhere. */
export const NO_RULES: PlacementRules = { chunkBlocks: undefined, contiguous: false, frames: undefined }

/** The physical memory that is set aside for a pool, in bytes. */
export interface Place {
  readonly startByte: number
  readonly sizeBytes: number
}

/** What is true of a store for as long as it is open. */
export interface StoreDescriptor {
  /** As the image of the pool spells it. */
  readonly kind: string
  /** Who clears a released block before it can be handed out again: the kernel (fresh pages), or we do. */
  readonly clearing: 'kernel' | 'ours'
  /** Pool size in blocks. */
  readonly totalBlocks: number
  readonly rules: PlacementRules
  /** undefined: ordinary memory of the host. */
  readonly place: Place | undefined
}

/**
 * The state of a memory object between two kernels, in LUO's words. `outgoing`: being preserved, or
 * preserved; its size is fixed until it is unpreserved. `incoming`: preserved by the former kernel and not
 * retrieved yet; what needs it waits. `lost`: it cannot be retrieved; its file can be emptied or deleted, and
 * all else gets EIO.
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
   * what was its last block, whatever a server that died left there. Guest RAM that we do not write keeps its
   * last block whole, with the guest's own bytes behind its size. Idempotent. The blocks of `to` that are new
   * are clean and not logged as this object's yet; those it no longer names are no longer its own and are
   * left as they are. Refusals: ENOMEM, EFBIG, EPERM; EBUSY where a mapping that is held would have to go; a
   * Wait. Nothing has changed then.
   */
  resize(object: ObjectId, to: Placement): Refusal | undefined
  /** True while a process maps the object: its blocks must not be used again yet. A Wait: not known yet. */
  isHeld(object: ObjectId): boolean | Wait
  /** Gives the object up. Called after the log says so; called again after a crash in between. Idempotent. */
  release(object: ObjectId): void
  /**
   * Objects that exist. One that no inode owns after recovery was never acknowledged, or was given up: it is
   * released.
   */
  objects(): Iterable<ObjectId>
  state(object: ObjectId): MemoryState
  /** Bytes that live exactly as long as the pool's memory: the persistent image is kept here. */
  metadataArea(): Uint8Array

  readonly data: FileData
  readonly ram: GuestRam
  readonly events?: StoreEvents | undefined
  /** Where clearing is ours. */
  readonly zeroer?: Zeroer | undefined
  /** undefined: the memory outlives a kernel by itself, or not at all. */
  readonly handover?: Handover | undefined
  /** How many objects are so; undefined: none ever are. Costs the same for any number of objects. */
  readonly absent?: ((state: 'incoming' | 'lost') => number) | undefined
  /** Told of the pool's size, at the start and when it changes, where the memory has no place. */
  readonly resized?: ((totalBlocks: number) => void) | undefined
  /** undefined: no service manager has copies of the objects. */
  readonly storeUse?: StoreUse | undefined
  readonly pending?: PendingReleases | undefined
}

/**
 * The bytes of ordinary files, and holes of guest RAM that is passed through. Blocks are there. A Wait:
 * nothing moved.
 */
export interface FileData {
  /**
   * Returns bytes moved; reads past the end return fewer. Errors of the kernel, as EIO for a poisoned page:
   * nothing moved.
   */
  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal
  /** Returns bytes moved: fewer where the next one cannot be stored. Errors of the kernel: nothing moved. */
  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal
  /** fallocate(2) PUNCH_HOLE: the range reads as zero afterwards. */
  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined
  /** lseek(2) SEEK_DATA (3) and SEEK_HOLE (4). Errors: ENXIO past the end. */
  seek(object: ObjectId, offset: number, whence: number): number | Refusal
}

/** How guests get at their RAM: one way for all objects of a store, but an object may have no mapping. */
export type GuestRam = RamVia<'passthrough'> | RamVia<'devmem'> | NodeRam

interface RamVia<V extends Via> {
  readonly via: V
  mapping(object: ObjectId, placement: Placement): Extract<Mapping, { via: V | 'none' }>
}

/** The file is shown as a symlink, and a node of ours is where it leads. */
export interface NodeRam extends RamVia<'dax-node'> {
  /** Where the node is, or will be. */
  path(object: ObjectId): string
  /**
   * Makes sure that the node maps guest RAM, and no more than that. A node that is there already keeps its
   * owner: `chown` of the name went to it. Refusals: EINVAL (not guest RAM), EIO, EBUSY; a Wait.
   */
  publish(object: ObjectId, placement: Placement, owner: Owner): Refusal | undefined
  /** The owner of a node that is there, undefined where there is none. */
  owner(object: ObjectId): Owner | undefined
  /** Gives a node that is there another owner and mode, both at once. */
  own(object: ObjectId, owner: Owner): void
}

export interface Owner {
  readonly uid: number
  readonly gid: number
  /** Permission bits, 07777. */
  readonly mode: number
}

/** Work beside the thread that serves requests: its end is told of through one descriptor. */
export interface StoreEvents {
  /** Readable when something finished. undefined: nothing is under way, and nothing need be polled. */
  readonly fd: Fd | undefined
  /**
   * Receives what finished; `fd` is not readable any more, and an operation that had to wait is tried again.
   */
  drain(): void
  /** The interval of `check`; undefined: nothing is under way that could die or hang. */
  readonly checkMs?: number | undefined
  /** Ends this process where work beside it has died or hangs: what waits for it would wait for ever. */
  check?(): void
}

export interface Refused {
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
   * Extents that could not be zeroed, since the last call: they are as dirty as they were. EBUSY: a process
   * maps a block of it. Others, as ENOMEM: no block of it can be mapped now.
   */
  refused(): Refused[]
  /** Of the extent under way. */
  readonly progressBytes: number
}

/** Releases that were put off, to send many at once. */
export interface PendingReleases {
  readonly isPending: boolean
  /** Called while no request waits. */
  flush(): void
}

/**
 * In this order: guest RAM while the guests run, all other files once the pool is frozen, and last the image.
 */
export const HANDOVER_STEPS = ['ram', 'files', 'image'] as const
export type HandoverStep = (typeof HANDOVER_STEPS)[number]

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

/** For memory that outlives a kernel only where it is preserved for the next one: slow work of the keeper. */
export interface Handover {
  readonly status: HandoverStatus
  /**
   * Why `step` cannot begin now: EBUSY while another one is under way or has failed, EINVAL where it is not
   * next.
   */
  refusal(step: HandoverStep): Errno | undefined
  /** The step is not refused. From here on the objects are `outgoing`. */
  preserve(step: 'ram' | 'files', objects: readonly ObjectId[]): void
  /**
   * The last step: `image` is what the next kernel's server begins with. Errors: ENOMEM, EMFILE, ENOSPC,
   * EFBIG: the step was not begun.
   */
  preserveImage(image: Uint8Array): Errno | undefined
  /**
   * Everything is as it was before the first step, when `status` says so. No effect where nothing was begun.
   */
  unpreserve(): void
  /** After a start: what a former server left half done is unpreserved. */
  recover(isFrozen: boolean): void
  /** Bytes that preserving would have to allocate: the holes of these objects. */
  holeBytes(objects: Iterable<ObjectId>): number
}
