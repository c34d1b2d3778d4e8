/**
 * Owns a file's size: which blocks it then owns, whether it is guest RAM, and the order of record and memory.
 *
 * Growing resizes the memory first and logs then. A crash in between leaves a memory larger than its inode
 * says: nobody can see the surplus, and `growObject` cuts it away before the file grows the next time. The
 * other way round, a store that has no memory left would have to be un-logged.
 *
 * Shrinking logs first and resizes then. A crash in between is made good at recovery, which resizes what the
 * last record names. The other way round, a crash would leave a file of the old size whose bytes are gone.
 */
import { BLOCK_BYTES, type Extent, type Placement } from '../../stores/store.ts'
import { EBUSY, EFBIG, EINVAL, EIO } from '../../values/errno.ts'
import { Refusal, WAIT_FOR_STORE, Wait } from '../../values/refusal.ts'
import { wantsFrames } from '../space/alignment.ts'
import { blocksFor, countBlocks, cutExtents, joinExtents } from '../space/extents.ts'
import type { Use } from '../space/free-space.ts'
import { type Inode, objectOf } from '../state/inode.ts'
import { FILE_SIZE_MAX } from '../state/limits.ts'
import type { OwnTransaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'

/** The fields of an inode that follow from its size. */
export type SizeFields = Pick<Inode, 'sizeBytes' | 'extents' | 'guestRam' | 'gigantic'>

/**
 * What truncate and fallocate make of a file: a file that was empty and becomes a block or more is guest RAM
 * from then on; in a directory of gigantic pages it has whole ones. Errors: EINVAL, EFBIG, ENOSPC,
 * WAIT_FOR_ZEROING, those of `mustStay`; EBUSY where a mapping is in the way, a Wait while that is being
 * found out.
 */
export function planSize(volume: Volume, inode: Inode, sizeBytes: number): SizeFields | Refusal {
  if (sizeBytes < 0) return EINVAL
  if (sizeBytes > FILE_SIZE_MAX) return EFBIG
  const fixed = mustStay(volume, inode, sizeBytes)
  if (fixed) return fixed
  const becomesRam = inode.sizeBytes === 0 && sizeBytes >= BLOCK_BYTES
  const guestRam = sizeBytes > 0 && (inode.guestRam || becomesRam)
  const gigantic = guestRam && wantsFrames(volume, inode)
  const frameBytes = (volume.store.descriptor.rules.frames?.blocks ?? 0) * BLOCK_BYTES
  if (gigantic && (frameBytes === 0 || sizeBytes % frameBytes !== 0)) return EINVAL
  const extents = planExtents(volume, inode, sizeBytes, { guestRam, inFrames: gigantic })
  return extents instanceof Refusal ? extents : { sizeBytes, extents, guestRam, gigantic }
}

/**
 * A memory on its way from one kernel to the next keeps its size. What was lost on it has none that could
 * change: such a file is given up by emptying it. Refusals: EBUSY, EIO, a Wait.
 */
export function mustStay({ store }: Volume, inode: Inode, sizeBytes: number): Refusal | undefined {
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
 * Where we clear blocks ourselves nothing takes them out of a live mapping: its holder would write into what
 * becomes another file's memory. A kernel that frees pages unmaps them first. And a device that is mapped
 * cannot grow, so the file it stands for does not either.
 */
function mustNotBeHeld({ store }: Volume, inode: Inode, shrinks: boolean): boolean {
  return shrinks ? store.descriptor.clearing === 'ours' : store.ram.via === 'dax-node' && inode.guestRam
}

/**
 * The blocks a file gives up hold its bytes: where clearing is ours the same record says so. Bad blocks stay
 * bad.
 */
export function markFreedDirty(tx: OwnTransaction, before: Inode, after: Pick<Inode, 'extents'>): void {
  const { volume } = tx
  if (volume.store.descriptor.clearing === 'kernel') return
  const { freed } = cutExtents(before.extents, countBlocks(after.extents))
  for (const extent of freed) tx.blocks(volume.state.blockStates.without(extent, 'bad'), 'dirty')
}

/**
 * Makes a memory larger, before the record that says so. A former server may have died between growing it and
 * logging that, and then it holds more than its inode says, perhaps bytes of a write that never was: the
 * first growth by this process cuts it back, so that what is new reads as zero. Errors: the store's; after
 * its Wait nothing has changed, and the whole operation is asked again.
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

/** The growth is not going to be logged: back to what the inode says, now or before the next growth. */
export function undoGrowth(volume: Volume, before: Inode): void {
  if (volume.store.resize(objectOf(before), before)) volume.settled.delete(objectOf(before))
}

/**
 * Makes a memory smaller, after the record that says so. There is no way back from the record. A store that
 * only begins to do so, or cannot, leaves the memory larger than its inode says: no read goes beyond the
 * inode's size, and `growObject` cuts the memory back before it grows, or fails. So no byte that was cut off
 * comes back. What the kernel refused is tried again (`retryShrinks`): until then the memory costs what it
 * did, and where clearing is ours its blocks are dirty already, and zeroed before another file has them.
 */
export function shrinkObject(volume: Volume, after: Inode): void {
  const failure = volume.store.resize(objectOf(after), after)
  if (failure === undefined) volume.settled.add(objectOf(after))
  else volume.settled.delete(objectOf(after))
  if (failure === undefined || failure instanceof Wait) volume.oversized.delete(after.ino)
  else volume.oversized.add(after.ino)
}

/** Tries once more to give back what `shrinkObject` could not. */
export function retryShrinks(volume: Volume): void {
  for (const ino of [...volume.oversized]) {
    const inode = volume.state.inodes.get(ino)
    if (inode?.object === undefined || volume.settled.has(inode.object)) volume.oversized.delete(ino)
    else shrinkObject(volume, inode)
  }
}
