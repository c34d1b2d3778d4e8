/**
 * Owns which memories of a pool go to the next kernel, and when: guest RAM first, while guests run on it, then all other files and last
 * the image, both with the pool frozen, so that what is handed over fits together. An orphan stays behind: no process
 * outlives the jump that could still map it.
 *
 *   trusted.guestmemfs.handover   on the root: "ram", "files", "image" begin that step, "none" takes everything back
 *   guestmemfs.handover           on the root: how far that is
 */
import { HAND_OVER_STEPS, type HandOverStep, type Passage } from '../stores/store.ts'
import { EBUSY, EINVAL, EOPNOTSUPP, type Errno } from '../values/errno.ts'
import type { MemoryId } from '../values/ids.ts'
import { packImage } from './image/travel.ts'
import type { Inode } from './inode.ts'
import { pathOf } from './path-of.ts'
import type { Volume } from './volume.ts'

/**
 * The step is begun; whether it succeeds is in `describeHandOver`. Errors: EOPNOTSUPP where this pool's memory outlives a kernel by itself,
 * EINVAL for an unknown word or a step that is not the next, EBUSY while one is under way, memory is awaited, or the pool is not frozen.
 */
export function setHandOver(volume: Volume, word: string): Errno | undefined {
  const { handOver } = volume.store
  if (handOver === undefined) return EOPNOTSUPP
  if (word === 'none') {
    handOver.takeBack()
    return undefined
  }
  const step = HAND_OVER_STEPS.find((known) => known === word)
  if (step === undefined) return EINVAL
  const { status } = handOver
  if (status.state !== 'idle' && status.state !== 'done') return EBUSY
  if (!follows(step, status.step)) return EINVAL
  if (count(volume, 'awaited') > 0 || (step !== 'ram' && !volume.frozen)) return EBUSY
  if (step === 'image') handOver.finish(packImage(volume.journal.identity, volume.state))
  else handOver.begin(step, [...leaving(volume, step)])
  return undefined
}

/** Everything may be handed over at once, without a first step for guest RAM. */
function follows(step: HandOverStep, last: HandOverStep | 'none'): boolean {
  switch (step) {
    case 'ram':
      return last === 'none'
    case 'files':
      return last === 'none' || last === 'ram'
    case 'image':
      return last === 'files'
    default:
      return step satisfies never
  }
}

/** What is lost has nothing to hand over: without it, the next kernel will find it lost, too. */
function* leaving(volume: Volume, step: 'ram' | 'files'): IterableIterator<MemoryId> {
  for (const inode of files(volume))
    if ((step === 'files' || inode.guestRam) && volume.store.passage(inode.memory) === 'none')
      yield inode.memory
}

function* files({ state }: Volume): IterableIterator<Inode & { readonly memory: MemoryId }> {
  for (const inode of state.inodes.values())
    if (inode.memory !== undefined && inode.links > 0) yield { ...inode, memory: inode.memory }
}

/** Files whose memory is there in its passage. */
export function count(volume: Volume, passage: Passage): number {
  if (volume.store.handOver === undefined) return 0
  let found = 0
  for (const { memory } of files(volume)) if (volume.store.passage(memory) === passage) found++
  return found
}

/** `guestmemfs.handover`; undefined where there is nothing to hand over. `holeBytes`: memory that it would take, of what has not left yet. */
export function describeHandOver(volume: Volume): object | undefined {
  const { handOver } = volume.store
  if (handOver === undefined) return undefined
  const { failure, ...status } = handOver.status
  const failed = failure && {
    errno: failure.errno.name,
    path: failure.memory && pathOfMemory(volume, failure.memory),
  }
  return { ...status, failure: failed ?? null, holeBytes: handOver.holeBytes(leaving(volume, 'files')) }
}

function pathOfMemory(volume: Volume, memory: MemoryId): string | undefined {
  for (const inode of files(volume)) if (inode.memory === memory) return pathOf(volume, inode.ino)
  return undefined
}
