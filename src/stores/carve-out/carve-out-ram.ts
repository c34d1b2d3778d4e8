/** What a carve-out's store needs of the way in which its guests map their RAM (`GuestRam`). Types alone. */
import type { Holder } from '../../linux/holders.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Refusal, Wait } from '../../values/refusal.ts'
import type { Extent, GuestRam } from '../store.ts'

export type CarveOutRam = GuestRam & RamBlocks

export interface RamBlocks {
  /** Objects of which a former server left something that can be seen. */
  left(): Iterable<ObjectId>
  /** After a start: these blocks are this object's. */
  adopt(object: ObjectId, extents: readonly Extent[]): void
  /** They are from now on. Refusals: EBUSY, a Wait; nothing has changed then. */
  resize(object: ObjectId, extents: readonly Extent[]): Refusal | undefined
  /** A Wait until the worker has looked for mappings. */
  isHeld(object: ObjectId): boolean | Wait
  /** For people: a process that was found to hold it, when last looked. */
  holder(object: ObjectId): Holder | undefined
  /** No inode owns it any more. */
  release(object: ObjectId): void
}
