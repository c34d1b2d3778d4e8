/** Owns what a carve-out's store asks of whatever leads a guest to its RAM: devices of its own, or windows. Types alone. */
import type { Holder } from '../../linux/holders.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Refusal, Wait } from '../../values/refusal.ts'
import type { Exposure, Extent, Owner, Placement } from '../store.ts'

export interface GuestRam {
  /** Memories of which a former server left something that can be seen. */
  left(): Iterable<ObjectId>
  /** After a start: these blocks are this memory's. */
  adopt(object: ObjectId, extents: readonly Extent[]): void
  /** They are from now on. Refusals: EBUSY, a Wait; nothing has changed then. */
  resize(object: ObjectId, extents: readonly Extent[]): Refusal | undefined
  /** A Wait until the worker has looked for mappings. */
  isHeld(object: ObjectId): boolean | Wait
  /** For people: a process that was found to hold it, when last looked. */
  holder(object: ObjectId): Holder | undefined
  /** No inode owns it any more. */
  release(object: ObjectId): void
  expose(object: ObjectId, extents: readonly Extent[]): Exposure
  /** The rest is for guest RAM that a link leads to: see `Store`. */
  publish(object: ObjectId, placement: Placement, owner: Owner): Refusal | undefined
  nodePath(object: ObjectId): string
  nodeOwner(object: ObjectId): Owner | undefined
}
