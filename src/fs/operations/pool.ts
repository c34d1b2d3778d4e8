/** Operations on the pool as a whole: statfs, freeze and thaw, and which blocks the worker zeroes. */
import type { Extent } from '../../stores/store.ts'
import type { Errno } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Allocator } from '../space/allocator.ts'
import type { BlockStates } from '../space/block-states.ts'
import { INO_MAX } from '../state/limits.ts'
import type { OwnTransaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'

/**
 * Blocks of BLOCK_BYTES. Dirty blocks count as free: they only have to be zeroed first. Bad ones never do.
 */
export interface PoolUse {
  readonly totalBlocks: number
  readonly freeBlocks: number
  readonly availableBlocks: number
  readonly files: number
  readonly freeFiles: number
}

export function statfs(volume: Volume): PoolUse {
  const { total, clean, dirty } = volume.index.allocator.counts
  const free = clean + dirty
  const inodes = volume.index.inodeCount
  return {
    totalBlocks: total,
    freeBlocks: free,
    availableBlocks: free,
    files: INO_MAX,
    freeFiles: INO_MAX - inodes,
  }
}

/**
 * `frozen`: from now on every modification answers EBUSY. Freezing a frozen pool has no effect. The objects
 * of a thawed pool change again, so a thaw unpreserves those that the keeper has preserved. Errors: ENOSPC.
 */
export function setPoolFrozen(tx: OwnTransaction, frozen: boolean): Errno | undefined {
  const { volume } = tx
  // Also where the pool is thawed already: guest RAM is preserved before the freeze, and a former server may
  // have died in a thaw, after its record.
  if (!frozen && !volume.frozen) volume.store.handover?.unpreserve()
  if (volume.frozen === frozen) return undefined
  tx.pool({ frozen })
  const failed = tx.commitIfRoom()
  if (failed === undefined && !frozen) volume.store.handover?.unpreserve()
  return failed
}

/**
 * Dirty blocks for the worker to zero next, at most `maxBlocks`, in one data chunk or outside of all: first
 * those of the next data chunk, so that it is made where it should be and not wherever clean blocks are, then
 * those outside of whole gigantic frames, and then the lowest. No block of `except` is among them. None while
 * frozen: the server could not record the result.
 */
export function dirtyExtent(
  { frozen, index, state }: Volume,
  maxBlocks: number,
  except: readonly Extent[],
): Extent | undefined {
  const { allocator } = index
  const { total, dirty } = allocator.counts
  if (frozen || dirty === 0) return undefined
  const next = allocator.nextDataChunk()
  const run =
    (next && firstDirtyIn(state.blockStates, next, except)) ??
    firstDirtyOutsideFrames(allocator, except) ??
    (except.length === 0
      ? state.blockStates.first('dirty')
      : firstDirtyIn(state.blockStates, { start: 0, count: total }, except))
  return run && allocator.inOneZone({ start: run.start, count: Math.min(run.count, maxBlocks) })
}

function firstDirtyIn(states: BlockStates, extent: Extent, except: readonly Extent[]): Extent | undefined {
  for (const part of without(extent, except)) {
    const found = states.firstIn(part, 'dirty')
    if (found) return found
  }
  return undefined
}

/** Costs the runs that lie in `except`, not those that there are. */
function firstDirtyOutsideFrames(allocator: Allocator, except: readonly Extent[]): Extent | undefined {
  for (let run = allocator.dirtyOutsideFrames(0); run; ) {
    const [part] = without(run, except)
    if (part) return part
    run = allocator.dirtyOutsideFrames(run.start + run.count)
  }
  return undefined
}

/** The parts of `extent` that lie in none of `holes`, ascending. */
function without(extent: Extent, holes: readonly Extent[]): readonly Extent[] {
  let parts: readonly Extent[] = [extent]
  for (const hole of holes)
    parts = parts.flatMap(({ start, count }) => {
      const [end, holeEnd] = [start + count, hole.start + hole.count]
      const before = { start, count: Math.min(hole.start, end) - start }
      const after = { start: Math.max(holeEnd, start), count: end - Math.max(holeEnd, start) }
      return [before, after].filter((part) => part.count > 0)
    })
  return parts
}

/**
 * The worker has zeroed these blocks, which `dirtyExtent` gave; those that have turned bad meanwhile stay so.
 * Errors: EBUSY while frozen, ENOSPC: to be called again later.
 */
export function markClean(tx: OwnTransaction, extent: Extent): Errno | undefined {
  const { volume } = tx
  const refusal = volume.refusal()
  if (refusal) return refusal
  const good = volume.state.blockStates.without(extent, 'bad')
  if (!good.every((part) => volume.index.allocator.isDirty(part)))
    throw new BrokenInvariantError(`blocks ${extent.start}+${extent.count} were zeroed, and are not dirty`)
  if (good.length === 0) return undefined
  tx.blocks(good, 'clean')
  return tx.commitIfRoom()
}
