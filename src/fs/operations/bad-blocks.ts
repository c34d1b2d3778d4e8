/**
 * Blocks in which memory has failed. The image states them bad for good: the allocator gives a free one to no
 * file any more, and one that a file owns stays the file's until the file loses it, with the bytes that are
 * left. The server records that it is bad while the pool is frozen, too: the next kernel has no other way to
 * know.
 */
import type { Extent } from '../../stores/store.ts'
import type { Errno } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Ino } from '../../values/ids.ts'
import type { State } from '../state/state.ts'
import type { OwnTransaction } from '../state/transaction.ts'

/**
 * Returns which of these blocks were not stated bad before, in the order given. Idempotent. Errors: ENOSPC,
 * the image has no room for the record: to be called again later.
 */
export function markBad(tx: OwnTransaction, extents: readonly Extent[]): readonly Extent[] | Errno {
  const { state, index } = tx.volume
  const { total } = index.allocator.counts
  for (const { start, count } of extents)
    if (start < 0 || start + count > total)
      throw new BrokenInvariantError(`blocks ${start}+${count} failed in a pool of ${total}`)
  const fresh = extents.flatMap((extent) => state.blockStates.without(extent, 'bad'))
  if (fresh.length === 0) return fresh
  tx.blocks(fresh, 'bad')
  return tx.commitIfRoom() ?? fresh
}

/** Bad blocks that lie next to one another, of one file or of none. */
export interface BadPiece extends Extent {
  /** Whose they are, and which blocks of it, from 0 on. */
  readonly of: { readonly ino: Ino; readonly fileBlock: number } | undefined
}

/** All bad blocks, ascending. Costs the extents of all files, where there are bad blocks. */
export function* badPieces(state: State): IterableIterator<BadPiece> {
  const runs = state.blockStates.runs.filter((run) => run.state === 'bad')
  if (runs.length === 0) return
  const owned = ownedPieces(state)
  let next = owned.next()
  for (const run of runs) {
    const end = run.start + run.count
    let at = run.start
    for (; !next.done && next.value.start < end; next = owned.next()) {
      if (next.value.start > at) yield { start: at, count: next.value.start - at, of: undefined }
      yield next.value
      at = next.value.start + next.value.count
    }
    if (at < end) yield { start: at, count: end - at, of: undefined }
  }
}

/** Those that files own, ascending; a piece lies in one run. */
function ownedPieces({ inodes, blockStates }: State): ArrayIterator<BadPiece> {
  const pieces: BadPiece[] = []
  for (const { ino, extents } of inodes.values()) {
    let fileBlock = 0
    for (const { start, count } of extents) {
      const end = start + count
      for (let at = start; at < end; ) {
        const bad = blockStates.firstIn({ start: at, count: end - at }, 'bad')
        if (bad === undefined) break
        pieces.push({ ...bad, of: { ino, fileBlock: fileBlock + bad.start - start } })
        at = bad.start + bad.count
      }
      fileBlock += count
    }
  }
  return pieces.toSorted((one, other) => one.start - other.start).values()
}
