/**
 * Owns the contract between the file system and the memory under it. A store hands out memory and says
 * how it can be mapped; it never sees a name, a directory or a mode. A new kind of memory is one new file
 * that implements `Store`.
 */
import type { Errno } from '../values/errno.ts'
import type { Fd, ObjectId } from '../values/ids.ts'
import type { Refusal, Wait } from '../values/refusal.ts'
import { PMD_BYTES } from '../values/units.ts'

/** Pool allocation unit in bytes: one PMD mapping. */
export const BLOCK_BYTES = PMD_BYTES

/** A chunk of a carve-out's store in blocks: 64 MiB. Part of its persistent format. */
export const CHUNK_BLOCKS = 32

/** `Store.chunkBlocks` of a kind of store, so that an image can be checked without its store. */
export const chunkBlocksOf = (storeKind: string): number | undefined =>
  storeKind === 'memfd' ? undefined : CHUNK_BLOCKS

/** A run of pool blocks: `start` and `count` in units of `BLOCK_BYTES` from the pool's beginning. */
export interface Extent {
  readonly start: number
  readonly count: number
}

/** Gigantic pages of `blocks` blocks each (512 for 1 GiB); the first one that fits begins at block `first`. */
export interface FrameGrid {
  readonly blocks: number
  readonly first: number
}

/**
 * What one memory must be: the store makes it so. `sizeBytes` is exact; `extents` cover it, rounded up to
 * blocks.
 */
export interface Placement {
  readonly sizeBytes: number
  readonly extents: readonly Extent[]
  /** Guest RAM is mapped by a guest, any other memory read and written by us: a store may keep them apart. */
  readonly guestRam: boolean
  /** Guest RAM that is mapped by gigantic pages: its extents are whole frames. */
  readonly gigantic?: boolean
}

export interface Owner {
  readonly uid: number
  readonly gid: number
  /** Permission bits, 0777. */
  readonly mode: number
}

/** Work that is too slow for whoever serves requests: done beside it, told of through one descriptor. */
export interface Background {
  /** Readable when something finished. undefined: nothing is under way, and nothing need be looked at. */
  readonly wake: Fd | undefined
  /** Takes note of what finished; `wake` is not readable any more. */
  drain(): void
  /** Begins to zero blocks that no file owns. False: one extent is being zeroed already. */
  clear(extent: Extent): boolean
  /** Extents whose last byte was zeroed since this was last asked. */
  cleared(): Extent[]
  /** Bytes zeroed of the extent under way. */
  readonly clearedBytes: number
}

/**
 * The state of a memory object between two kernels, in LUO's words. `outgoing`: being preserved, or
 * preserved; its size is fixed until it is unpreserved. `incoming`: preserved by the former kernel and not
 * retrieved yet; what needs it waits. `lost`: it cannot be retrieved; its file can be emptied or deleted, and
 * all else gets EIO.
 */
export const MEMORY_STATES = ['present', 'outgoing', 'incoming', 'lost'] as const
export type MemoryState = (typeof MEMORY_STATES)[number]

/**
 * In this order: guest RAM while the guests run, all other files once the pool is frozen, and last the image.
 */
export const HANDOVER_STEPS = ['ram', 'files', 'image'] as const
export type HandoverStep = (typeof HANDOVER_STEPS)[number]

export interface HandoverStatus {
  /** The one under way, or the last one. */
  readonly step: HandoverStep | 'none'
  readonly state: 'idle' | 'busy' | 'done' | 'failed' | 'undoing'
  /** Memories to be preserved by the steps so far, and those that are. */
  readonly objects: number
  readonly preserved: number
  /** Of a step that failed. `memory`: undefined where it was not about one. */
  readonly failure: { readonly errno: Errno; readonly memory: ObjectId | undefined } | undefined
}

/**
 * For memory that outlives a kernel only where it is preserved for the next one. Slow: the keeper does it,
 * `status` tells how far.
 */
export interface Handover {
  readonly status: HandoverStatus
  /**
   * Why `step` cannot begin now: EBUSY while another one is under way or has failed, EINVAL where it is not
   * the next one.
   */
  refusal(step: HandoverStep): Errno | undefined
  /** The step is not refused. From here on the objects are `outgoing`. */
  preserve(step: 'ram' | 'files', objects: readonly ObjectId[]): void
  /** The last step: `image` is what the next kernel's server begins with. */
  preserveImage(image: Uint8Array): void
  /**
   * Everything is as it was before the first step, when `status` says so. Without effect where nothing was
   * begun.
   */
  unpreserve(): void
  /** After a start: what a former server left half done is unpreserved. */
  recover(isFrozen: boolean): void
  /** Bytes that preserving would have to allocate: the holes of these memories. */
  holeBytes(objects: Iterable<ObjectId>): number
}

/** How a memory is reached by mmap. */
export type Exposure =
  | { readonly kind: 'backing'; readonly fd: Fd }
  /** Its numbers are undefined until somebody follows the link: only then is there a device. */
  | {
      readonly kind: 'device'
      readonly major: number | undefined
      readonly minor: number | undefined
      readonly path: string
    }
  | { readonly kind: 'window'; readonly path: string; readonly offsetBytes: number }
  /** Not at all: it is read and written through us. */
  | { readonly kind: 'none' }

export interface Store {
  readonly kind: 'memfd' | 'dax' | 'devmem'
  /** Who clears a released block before it can be handed out again: the kernel (fresh pages), or we do. */
  readonly clearing: 'kernel' | 'ours'
  /** Pool size in blocks, as far as the store knows it. */
  readonly totalBlocks: number

  /** A new, empty memory that survives this process from the moment this returns. Errors: ENOMEM, EMFILE. */
  create(): ObjectId | Refusal
  /**
   * Ordinary files live in chunks, aligned chunks of so many blocks (the last one may be shorter), apart from
   * guest RAM: which chunk is a data chunk follows from what inodes own and changes as they do. undefined: no
   * such zones.
   */
  readonly chunkBlocks: number | undefined
  /** Guest RAM must be one extent: whoever maps it gives one offset. */
  readonly contiguous: boolean
  /** Where gigantic pages can lie; undefined: this memory cannot be mapped by them. */
  readonly frames: FrameGrid | undefined
  /** The physical memory it lies in, where that is set aside for it: bytes. */
  readonly place: { readonly startByte: number; readonly sizeBytes: number } | undefined
  /**
   * How a guest reaches its RAM: by mapping the file itself, by a device node that the file's name links to,
   * or by a window of another file, which `guestmemfs run` puts in its place.
   */
  readonly reach: 'file' | 'link' | 'window'
  readonly background: Background | undefined
  /** undefined: this memory outlives a kernel by itself. */
  readonly handover: Handover | undefined
  state(object: ObjectId): MemoryState

  /**
   * After a start, once for each memory that an inode owns: what the image says about it. Before anything
   * else is asked.
   */
  adopt(object: ObjectId, as: Placement): void
  /**
   * Make `memory` as large as `to` says: the bytes kept are kept, new bytes read as zero, also those in what
   * was its last block, whatever a server that died left there. Guest RAM that `reach` does not let us write
   * keeps its last block whole, with the guest's own bytes behind its size. Idempotent. The blocks of `to`
   * that are new are clean and not logged as this memory's yet; those it no longer names are no longer its
   * own and are left as they are. Refusals: ENOMEM; EBUSY where a mapping that is held would have to go; a
   * Wait.
   */
  resize(object: ObjectId, to: Placement): Refusal | undefined
  /**
   * True while some process maps the memory: its blocks must not be used again yet. A Wait: not known yet,
   * take it for held.
   */
  isHeld(object: ObjectId): boolean | Wait
  /** Give the memory up. Called after the log says so; called again after a crash in between. Idempotent. */
  release(object: ObjectId): void
  /** Whether giving memory up was put off, to do more of it at once; `catchUp` does it, when nobody waits. */
  readonly isBehind: boolean
  catchUp(): void
  /**
   * Memories that exist; what no inode owns after recovery was never acknowledged, or was given up, and is
   * released.
   */
  objects(): Iterable<ObjectId>

  /**
   * Ordinary files only, their blocks are there. Returns bytes moved; reads past the end return fewer. A
   * Wait: nothing was moved.
   */
  read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal
  write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal
  /** fallocate(2) PUNCH_HOLE: the range reads as zero afterwards. */
  punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined
  /** lseek(2) SEEK_DATA (3) and SEEK_HOLE (4). Errors: ENXIO past the end. */
  seek(object: ObjectId, offset: number, whence: number): number | Refusal

  expose(object: ObjectId, placement: Placement): Exposure
  /**
   * Reach `link`: makes sure that the node maps guest RAM, and no more than that. A node that is there
   * already keeps its owner: `chown` of the name went to it. Refusals: EIO, EBUSY; a Wait.
   */
  publish(object: ObjectId, placement: Placement, owner: Owner): Refusal | undefined
  /** Reach `link`: where the node is, or will be. */
  nodePath(object: ObjectId): string
  /** Reach `link`: the owner of a node that is there, undefined where there is none. */
  nodeOwner(object: ObjectId): Owner | undefined
  /** Bytes that live exactly as long as the pool's memory: the persistent image is kept here. */
  metadataArea(): Uint8Array
}
