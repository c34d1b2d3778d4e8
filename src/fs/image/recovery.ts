/**
 * Reads what an image holds: which checkpoint counts, which segments follow it, and the fold of their
 * records. It changes no byte of the area, whatever it finds.
 *
 * The newest complete checkpoint g counts. Segment g holds what was logged since checkpoint g began. Segment
 * g + 1 holds what was logged since checkpoint g + 1 began, if it did and is not complete. A checkpoint word
 * that is not whole counts as not complete: then either the one before it and both its segments are still
 * there, and nothing is lost, or there is none, and the image is refused.
 */
import { CorruptBytesError } from '../../values/errors.ts'
import { readCheckpoint, readSlotState } from './checkpoint.ts'
import { Fold } from './fold.ts'
import { type Geometry, segmentOf } from './image-format.ts'
import type { LogRecord } from './record.ts'
import { isEmptySegment, readGenerationWord, readSegment, type SegmentContent } from './segment.ts'

export interface Recovered {
  /** Of the checkpoint that counts. */
  readonly checkpointGeneration: number
  /** Of the segment that is appended to: the checkpoint's own, or the next if that was begun. */
  readonly activeGeneration: number
  readonly active: SegmentContent
  /** First sequence number of the active segment, and the one that the next record takes. */
  readonly firstSequence: number
  readonly nextSequence: number
  /** Every record since the checkpoint, oldest first. */
  readonly records: readonly LogRecord[]
  readonly fold: Fold
}

/** Throws `CorruptBytesError` if what was acknowledged cannot be recovered whole. */
export function recoverImage(area: Uint8Array, geometry: Geometry): Recovered {
  const generation = newestCheckpoint(area, geometry)
  const checkpoint = readCheckpoint(area, geometry, generation)
  const own = readGenerationWord(area, segmentOf(geometry, generation))
  if (own.kind !== 'value' || own.value !== generation) {
    throw new CorruptBytesError(`the log segment of checkpoint ${generation} is not there`)
  }
  const since = readSegment(area, geometry, generation, checkpoint.firstSequence)
  const nextFirst = checkpoint.firstSequence + since.records.length
  const begun = isNextBegun(area, geometry, generation)
  const active = begun ? readSegment(area, geometry, generation + 1, nextFirst) : since
  const records = begun ? [...since.records, ...active.records] : since.records
  const fold = new Fold()
  for (const entry of checkpoint.entries) fold.add(entry)
  for (const record of records) for (const entry of record.entries) fold.add(entry)
  return {
    checkpointGeneration: generation,
    activeGeneration: begun ? generation + 1 : generation,
    active,
    firstSequence: begun ? nextFirst : checkpoint.firstSequence,
    nextSequence: checkpoint.firstSequence + records.length,
    records,
    fold,
  }
}

function newestCheckpoint(area: Uint8Array, geometry: Geometry): number {
  const generations = ([0, 1] as const).flatMap((side) => {
    const slot = readSlotState(area, geometry, side)
    return slot.kind === 'complete' ? [slot.generation] : []
  })
  if (generations.length === 0) throw new CorruptBytesError('the image has no complete checkpoint')
  const newest = Math.max(...generations)
  if (newest - Math.min(...generations) > 1) {
    throw new CorruptBytesError(`checkpoints ${generations.join(' and ')} do not follow one another`)
  }
  return newest
}

/** Whether logging moved on to the segment after `generation`'s own. */
function isNextBegun(area: Uint8Array, geometry: Geometry, generation: number): boolean {
  const offset = segmentOf(geometry, generation + 1)
  const word = readGenerationWord(area, offset)
  switch (word.kind) {
    case 'zero':
      return false
    case 'value':
      if (word.value === generation + 1) return true
      if (word.value === generation - 1) return false
      throw new CorruptBytesError(`log segment ${word.value} stands where ${generation + 1} is due`)
    case 'invalid':
      // Torn while it was begun, when it held nothing yet; or damaged later.
      if (isEmptySegment(area, offset)) return false
      throw new CorruptBytesError(`the log segment after checkpoint ${generation} fails its check`)
  }
}
