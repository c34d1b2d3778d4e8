/** What a carve-out's store needs besides `GuestRam` of how guests map their RAM. Types alone. */
import type { Holder } from '../../linux/holders.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Refusal, Wait } from '../../values/refusal.ts'
import type { Extent, GuestRam } from '../store.ts'

export type CarveOutRam = GuestRam & RamBlocks

export interface RamBlocks {
  /** Objects whose node a former server left. */
  left(): Iterable<ObjectId>
  /** After a start: these blocks belong to this object. */
  adopt(object: ObjectId, extents: readonly Extent[]): void
  /** These blocks belong to this object from now on. Refusals: EBUSY, a Wait; nothing has changed then. */
  resize(object: ObjectId, extents: readonly Extent[]): Refusal | undefined
  /** A Wait until the worker has searched for mappings. */
  isHeld(object: ObjectId): boolean | Wait
  /** For messages: a process that the last search found to hold it. */
  holder(object: ObjectId): Holder | undefined
  /** No inode owns it any more. */
  release(object: ObjectId): void
}
