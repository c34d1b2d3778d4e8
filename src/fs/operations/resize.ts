/**
 * A file's size: which blocks it then owns, whether it is guest RAM, and the order of record and memory.
 *
 * Growing resizes the object first and logs then. A crash in between leaves an object larger than its inode
 * says: no read shows the surplus, and `growObject` cuts it off before the file grows the next time. The
 * other way round, a store that has no memory left would have to be un-logged.
 *
 * Shrinking logs first and resizes then. After a crash in between, recovery resizes what the last record
 * names. The other way round, a crash would leave a file of the old size whose bytes are gone.
 */
import { BLOCK_BYTES, type Extent, type Placement } from '../../stores/store.ts'
import { EBUSY, EFBIG, EINVAL, EIO } from '../../values/errno.ts'
import { Refusal, WAIT_FOR_STORE, Wait } from '../../values/refusal.ts'
import { needsFrames } from '../space/alignment.ts'
import { blocksFor, countBlocks, cutExtents, joinExtents } from '../space/extents.ts'
import type { Use } from '../space/free-space.ts'
import { type Inode, objectOf } from '../state/inode.ts'
import { FILE_SIZE_MAX } from '../state/limits.ts'
import type { OwnTransaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'

export type SizeFields = Pick<Inode, 'sizeBytes' | 'extents' | 'guestRam' | 'gigantic'>

/**
 * What truncate and fallocate make of a file: a file that was empty and becomes a block or more is guest RAM
 * from then on; in a directory of gigantic pages it has whole ones. Errors: EINVAL, EFBIG, ENOSPC,
 * WAIT_FOR_ZEROING, those of `sizeRefusal`; EBUSY where the file is mapped and must not be, a Wait while the
 * store finds out whether it is.
 */
export function planSize(volume: Volume, inode: Inode, sizeBytes: number): SizeFields | Refusal {
  if (sizeBytes < 0) return EINVAL
  if (sizeBytes > FILE_SIZE_MAX) return EFBIG
  const fixed = sizeRefusal(volume, inode, sizeBytes)
  if (fixed) return fixed
  const becomesRam = inode.sizeBytes === 0 && sizeBytes >= BLOCK_BYTES
  const guestRam = sizeBytes > 0 && (inode.guestRam || becomesRam)
  const gigantic = guestRam && needsFrames(volume, inode)
  const frameBytes = (volume.store.descriptor.rules.frames?.blocks ?? 0) * BLOCK_BYTES
  if (gigantic && (frameBytes === 0 || sizeBytes % frameBytes !== 0)) return EINVAL
  const extents = planExtents(volume, inode, sizeBytes, { guestRam, inFrames: gigantic })
  return extents instanceof Refusal ? extents : { sizeBytes, extents, guestRam, gigantic }
}

/**
 * An object that is outgoing or incoming keeps its size. A lost one has no memory that could be resized:
 * truncating its file to 0 gives it memory again. Refusals: EBUSY, EIO, a Wait.
 */
export function sizeRefusal({ store }: Volume, inode: Inode, sizeBytes: number): Refusal | undefined {
  if (inode.object === undefined || sizeBytes === inode.sizeBytes) return undefined
  const state = store.state(inode.object)
  switch (state) {
    case 'present':
      return undefined
    case 'outgoing':
      return EBUSY
    case 'incoming':
      return WAIT_FOR_STORE
    case 'lost':
      return sizeBytes === 0 ? undefined : EIO
    default:
      return state satisfies never
  }
}

/** The blocks a file of `sizeBytes` owns: those it has, fewer or more of its kind. */
export function planExtents(
  volume: Volume,
  inode: Inode,
  sizeBytes: number,
  use: Use,
): readonly Extent[] | Refusal {
  const [has, needs] = [countBlocks(inode.extents), blocksFor(sizeBytes)]
  if (needs === has) return inode.extents
  const held = mustNotBeHeld(volume, inode, needs < has) && volume.store.isHeld(objectOf(inode))
  if (held) return held === true ? EBUSY : held
  if (needs < has) return cutExtents(inode.extents, needs).kept
  const last = inode.extents.at(-1)
  const after = last && last.start + last.count
  const { contiguous } = volume.store.descriptor.rules
  const shape = use.guestRam && contiguous ? { contiguous: { after } } : {}
  const more = volume.index.allocator.choose(needs - has, { ...use, ...shape })
  return more instanceof Refusal ? more : joinExtents(inode.extents, more)
}

/**
 * Where the store clears blocks itself, nothing unmaps them: a process that maps the file would write into
 * what becomes another file's memory. A kernel that frees pages unmaps them first. And a device-dax instance
 * that is mapped cannot grow, so its file cannot either.
 */
function mustNotBeHeld({ store }: Volume, inode: Inode, shrinks: boolean): boolean {
  return shrinks ? store.descriptor.clearing === 'ours' : store.ram.via === 'dax-node' && inode.guestRam
}

/**
 * The blocks that a file loses still hold its bytes: where the store clears blocks itself, the same record
 * marks them dirty. Bad blocks stay bad.
 */
export function markFreedDirty(tx: OwnTransaction, before: Inode, after: Pick<Inode, 'extents'>): void {
  const { volume } = tx
  if (volume.store.descriptor.clearing === 'kernel') return
  const { freed } = cutExtents(before.extents, countBlocks(after.extents))
  for (const extent of freed) tx.blocks(volume.state.blockStates.without(extent, 'bad'), 'dirty')
}

/**
 * Grows an object, before the record of its new size. A former server may have died between growing it and
 * logging that: then it is larger than its inode says, and may hold bytes of a write that was never logged.
 * So the first growth by this process cuts it back, and what is new reads as zero. Errors: the store's; after
 * its Wait nothing has changed, and the server repeats the whole operation.
 */
export function growObject(volume: Volume, before: Inode, to: Placement): Refusal | undefined {
  const object = objectOf(before)
  if (!volume.settled.has(object)) {
    const failure = volume.store.resize(object, before)
    if (failure) return failure
    volume.settled.add(object)
  }
  const failure = volume.store.resize(object, to)
  if (failure && !(failure instanceof Wait)) undoGrowth(volume, before)
  return failure
}

/**
 * For a growth that will not be logged: resizes the object back to what the inode says, now or before the
 * next growth.
 */
export function undoGrowth(volume: Volume, before: Inode): void {
  if (volume.store.resize(objectOf(before), before)) volume.settled.delete(objectOf(before))
}

/**
 * Shrinks an object, after the record of its new size, which is not undone. A store that only begins to
 * shrink it, or cannot, leaves it larger than its inode says: no read goes beyond the inode's size, and
 * `growObject` cuts the object back before it grows, or fails. So no reader gets a byte that was cut off.
 * `retryShrinks` tries again what the kernel refused: until then the object uses the memory that it did, and
 * where the store clears blocks itself, its blocks are dirty already, and zeroed before another file gets
 * them.
 */
export function shrinkObject(volume: Volume, after: Inode): void {
  const failure = volume.store.resize(objectOf(after), after)
  if (failure === undefined) volume.settled.add(objectOf(after))
  else volume.settled.delete(objectOf(after))
  if (failure === undefined || failure instanceof Wait) volume.oversized.delete(after.ino)
  else volume.oversized.add(after.ino)
}

/** Tries once more what `shrinkObject` could not do. */
export function retryShrinks(volume: Volume): void {
  for (const ino of [...volume.oversized]) {
    const inode = volume.state.inodes.get(ino)
    if (inode?.object === undefined || volume.settled.has(inode.object)) volume.oversized.delete(ino)
    else shrinkObject(volume, inode)
  }
}
