/** Owns what a carve-out's store asks of whatever leads a guest to its RAM: devices of its own, or windows. Types alone. */
import type { Holder } from '../../linux/holders.ts'
import type { Errno } from '../../values/errno.ts'
import type { MemoryId } from '../../values/ids.ts'
import type { Exposure, Extent, Owner, Placement } from '../store.ts'

export interface GuestRam {
  /** Memories of which a former server left something that can be seen. */
  left(): Iterable<MemoryId>
  /** After a start: these blocks are this memory's. */
  adopt(memory: MemoryId, extents: readonly Extent[]): void
  /** They are from now on. Errors: WAITS, EBUSY; nothing has changed then. */
  resize(memory: MemoryId, extents: readonly Extent[]): Errno | undefined
  /** WAITS until somebody has looked. */
  isHeld(memory: MemoryId): boolean | Errno
  /** For people: a process that was found to hold it, when last looked. */
  holder(memory: MemoryId): Holder | undefined
  /** No inode owns it any more. */
  release(memory: MemoryId): void
  expose(memory: MemoryId, extents: readonly Extent[]): Exposure
  /** The rest is for guest RAM that a link leads to: see `Store`. */
  publish(memory: MemoryId, placement: Placement, owner: Owner): Errno | undefined
  nodePath(memory: MemoryId): string
  nodeOwner(memory: MemoryId): Owner | undefined
}
