/** `guestmemfs.bad`: where memory of the pool has failed, and which files have it. */
import { BLOCK_BYTES } from '../../stores/store.ts'
import { badPieces } from '../operations/bad-blocks.ts'
import { pathOf } from '../state/path-of.ts'
import type { Volume } from '../state/volume.ts'

/**
 * A row for each run of bad blocks of one file, or of none. `startByte`: its physical address, where the pool
 * has a place. `ino` and `fileOffsetBytes`: of the file that has it, whose `file` is one of its paths below
 * the mount; an orphan has none.
 */
export function* describeBad(volume: Volume): IterableIterator<object> {
  const { place } = volume.store.descriptor
  for (const { start, count, of } of badPieces(volume.state)) {
    const poolOffsetBytes = start * BLOCK_BYTES
    const file = of && pathOf(volume, of.ino)
    yield {
      poolOffsetBytes,
      lengthBytes: count * BLOCK_BYTES,
      ...(place && { startByte: place.start + poolOffsetBytes }),
      ...(of && { ino: of.ino, fileOffsetBytes: of.fileBlock * BLOCK_BYTES }),
      ...(file !== undefined && { file }),
    }
  }
}
