/**
 * Owns the change of a pool's size. Only memory of the host has no place: which blocks of the pool a file has
 * says how much of it is used up, and nothing about where its bytes are. So a pool shrinks to what is in use,
 * however scattered that is: files with blocks beyond the new end get others below it first.
 *
 * Each step is a record of its own, and a pool that is whole: a crash in between leaves some files with other
 * blocks, and the size as it was. The last one, which carries the caller's request, states the size. No step
 * touches memory.
 */
import { BLOCK_BYTES, type Extent } from '../../stores/store.ts'
import { EBUSY, EINVAL, ENOSPC, EOPNOTSUPP, EPERM, type Errno } from '../../values/errno.ts'
import { countBlocks, joinExtents } from '../space/extents.ts'
import type { FreeRuns } from '../space/free-runs.ts'
import type { Inode } from '../state/inode.ts'
import { POOL_BLOCKS_MAX, sizeEntry } from '../state/pool-size.ts'
import { Transaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'

/** A record holds other blocks for so many files at most, and so many pieces. */
const FILES_AT_ONCE = 64
const PIECES_AT_ONCE = 1024

/** The least that the pool could have now, in blocks. undefined: its size cannot be changed. */
export function leastBlocks({ store, index, state }: Volume): number | undefined {
  if (store.resized === undefined) return undefined
  const { owned, bad } = index.allocator.counts
  let badEnd = 0
  for (
    let run = state.blockStates.runBeyond(-1);
    run;
    run = state.blockStates.runBeyond(run.start + run.count)
  )
    badEnd = run.start + run.count
  return Math.max(1, owned + bad, badEnd)
}

/**
 * `sizeBytes`: its whole blocks count. Errors: EBUSY, below `leastBlocks`, or frozen; EINVAL; EOPNOTSUPP, the
 * size is that of a place; EPERM, the image's version cannot say it; ENOSPC, no room in the image.
 */
export function resizePool(tx: Transaction, sizeBytes: number): Errno | undefined {
  const { volume } = tx
  const least = leastBlocks(volume)
  if (least === undefined) return EOPNOTSUPP
  const totalBlocks = Math.floor(sizeBytes / BLOCK_BYTES)
  if (totalBlocks < 1 || totalBlocks > POOL_BLOCKS_MAX) return EINVAL
  const refusal = volume.refusal()
  if (refusal) return refusal
  if (totalBlocks === volume.index.allocator.counts.total) return undefined
  if (volume.journal.version < 2) {
    volume.refusedByFormat++
    return EPERM
  }
  if (totalBlocks < least) return EBUSY
  const failed = moveBelow(tx, totalBlocks)
  if (failed) return failed
  tx.state(sizeEntry(totalBlocks))
  const noRoom = tx.commitIfRoom()
  if (noRoom === undefined) volume.store.resized?.(totalBlocks)
  return noRoom
}

/** No file has blocks from `end` on any more. Errors: EBUSY, ENOSPC. */
function moveBelow({ volume, rq }: Transaction, end: number): Errno | undefined {
  const beyond = [...volume.state.inodes.values()].filter(({ extents }) => extents.some(isBeyond(end)))
  if (beyond.length === 0) return undefined
  const { runs: free, count } = volume.index.allocator.cleanBelow(end)
  const needed = beyond.reduce((sum, { extents }) => sum + countBlocks(partsBeyond(extents, end)), 0)
  if (needed > count) return EBUSY
  for (let next = 0; next < beyond.length; ) {
    // Of no request: should this one come again, it was not carried out yet.
    const step = new Transaction(volume, { ...rq, origin: { ...rq.origin, unique: 0n } })
    let pieces = 0
    for (let files = 0; files < FILES_AT_ONCE && pieces < PIECES_AT_ONCE; files++) {
      const inode = beyond[next++]
      if (inode === undefined) break
      const extents = movedBelow(inode, end, free)
      pieces += extents.length
      step.change(inode, { extents })
    }
    if (step.commitIfRoom()) return ENOSPC
  }
  return undefined
}

const isBeyond =
  (end: number) =>
  ({ start, count }: Extent): boolean =>
    start + count > end

/** The extents of a file with what lies beyond `end` put in place of others below it, taken from `free`. */
function movedBelow({ extents }: Inode, end: number, free: FreeRuns): Extent[] {
  return extents.reduce<Extent[]>((moved, extent) => {
    const keep = Math.max(0, Math.min(extent.count, end - extent.start))
    const kept = keep === 0 ? [] : [{ start: extent.start, count: keep }]
    const others = keep === extent.count ? [] : free.choose(extent.count - keep)
    for (const run of others) free.mark(run, false)
    return joinExtents(moved, [...kept, ...others])
  }, [])
}

const partsBeyond = (extents: readonly Extent[], end: number): Extent[] =>
  extents.filter(isBeyond(end)).map(({ start, count }) => {
    const from = Math.max(start, end)
    return { start: from, count: start + count - from }
  })
