/**
 * The change of a pool's size, which a store allows only where its memory is the host's ordinary memory.
 * There the block numbers of a file count how much of the pool it uses, and say nothing about where its bytes
 * are. So a pool can shrink to what is in use, however scattered that is: files with blocks beyond the new
 * end get other numbers below it first.
 *
 * Each step is a record of its own and leaves a consistent pool: a crash in between leaves some files with
 * other blocks, and the size as it was. The last one, which carries the caller's request, states the size. No
 * step touches memory.
 */
import { BLOCK_BYTES, type Extent } from '../../stores/store.ts'
import { EBUSY, EINVAL, ENOSPC, EOPNOTSUPP, EPERM, type Errno } from '../../values/errno.ts'
import { countBlocks, joinExtents } from '../space/extents.ts'
import type { FreeRuns } from '../space/free-runs.ts'
import type { Inode } from '../state/inode.ts'
import { POOL_BLOCKS_MAX, sizeEntry } from '../state/pool-size.ts'
import { Transaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'

/** One record moves the blocks of so many files at most, and stops after so many extents. */
const FILES_AT_ONCE = 64
const PIECES_AT_ONCE = 1024

/** The smallest size that the pool could have now, in blocks. undefined: its size cannot be changed. */
export function leastBlocks({ store, index, state }: Volume): number | undefined {
  if (store.hostMemory === undefined) return undefined
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
 * `sizeBytes` is rounded down to whole blocks. Errors: EBUSY, below `leastBlocks`, or frozen; EINVAL;
 * EOPNOTSUPP, the size is that of the store's region; EPERM, the image's format version cannot state a size;
 * ENOSPC, no room in the image.
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
  if (noRoom === undefined) volume.store.hostMemory?.resized(totalBlocks)
  return noRoom
}

/** Gives each file with blocks from `end` on others below it. Errors: EBUSY, ENOSPC. */
function moveBelow({ volume, rq }: Transaction, end: number): Errno | undefined {
  const beyond = [...volume.state.inodes.values()].filter(({ extents }) => extents.some(isBeyond(end)))
  if (beyond.length === 0) return undefined
  const { runs: free, count } = volume.index.allocator.cleanBelow(end)
  const needed = beyond.reduce((sum, { extents }) => sum + countBlocks(partsBeyond(extents, end)), 0)
  if (needed > count) return EBUSY
  for (let next = 0; next < beyond.length; ) {
    // With no request id: should the kernel send this request again, it was not applied yet.
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

/**
 * The extents of a file, with what lies beyond `end` replaced by blocks below it that are taken from `free`.
 */
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
