/**
 * The handover of a pool's memory objects to the next kernel: guest RAM first, while guests run on it, then
 * all other files and last the image, both with the pool frozen, so that what is preserved is consistent.
 * Orphans are not preserved: no process that maps one outlives the kexec.
 *
 *   trusted.guestmemfs.handover   on the root: "ram", "files", "image" begin that step, "none" unpreserves
 *                                 everything
 *   guestmemfs.handover           on the root: the progress of that
 */

import { EBUSY, EINVAL, EOPNOTSUPP, type Errno } from '../values/errno.ts'
import { HANDOVER_STEPS } from '../values/handover-step.ts'
import type { ObjectId } from '../values/ids.ts'
import { packImage } from './image/packed-image.ts'
import type { Inode } from './state/inode.ts'
import { pathOf } from './state/path-of.ts'
import type { Volume } from './state/volume.ts'

/**
 * Begins the step; `describeHandover` reports whether it succeeds. Errors: EOPNOTSUPP where this pool's
 * memory outlives a kernel by itself, EINVAL for an unknown word or a step that is not the next, EBUSY while
 * one is under way, an object is incoming, or the pool is not frozen; those of `preserveImage`.
 */
export function setHandover(volume: Volume, word: string): Errno | undefined {
  const { journal, state, store } = volume
  const { handover } = store
  if (handover === undefined) return EOPNOTSUPP
  if (word === 'none') {
    handover.unpreserve()
    return undefined
  }
  const step = HANDOVER_STEPS.find((known) => known === word)
  if (step === undefined) return EINVAL
  const refused = handover.refusal(step)
  if (refused !== undefined) return refused
  if (handover.absent('incoming') > 0 || (step !== 'ram' && !volume.frozen)) return EBUSY
  if (step === 'image') return handover.preserveImage(packImage(journal.identity, state, journal.version))
  handover.preserve(step, [...outgoing(volume, step)])
  return undefined
}

/**
 * Objects that the step preserves. One that is lost has nothing to preserve: the next kernel finds it lost,
 * too.
 */
function* outgoing(volume: Volume, step: 'ram' | 'files'): IterableIterator<ObjectId> {
  for (const inode of files(volume))
    if ((step === 'files' || inode.guestRam) && volume.store.state(inode.object) === 'present')
      yield inode.object
}

function* files({ state }: Volume): IterableIterator<Inode & { readonly object: ObjectId }> {
  for (const inode of state.inodes.values())
    if (inode.object !== undefined && inode.links > 0) yield inode as Inode & { readonly object: ObjectId }
}

/**
 * `guestmemfs.handover`; undefined where there is nothing to hand over. `holeBytes`: memory that the kernel
 * would have to allocate for the holes of objects that are still to be preserved.
 */
export function describeHandover(volume: Volume): object | undefined {
  const { handover } = volume.store
  if (handover === undefined) return undefined
  // The value's spelling is older than the names here, and other programs read it.
  const { failure, objects: memories, ...status } = handover.status
  const failed = failure && {
    errno: failure.errno.name,
    path: failure.object && pathOfObject(volume, failure.object),
  }
  const holeBytes = handover.holeBytes(outgoing(volume, 'files'))
  return { ...status, memories, failure: failed ?? null, holeBytes }
}

function pathOfObject(volume: Volume, object: ObjectId): string | undefined {
  for (const inode of files(volume)) if (inode.object === object) return pathOf(volume, inode.ino)
  return undefined
}
