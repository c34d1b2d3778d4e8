/**
 * Makes the image of a new pool where that of another one is, on the same memory. What is known of that
 * memory must not be lost by a crash: which blocks are bad. So the new state is first written as the next
 * checkpoint of the image that is there, in the order of stores of any checkpoint, and the header is replaced
 * then.
 *
 * A crash before the checkpoint's commit word leaves the former image whole. From that word on every recovery
 * finds the new state: under the former header, an empty pool of the former name; while the header is
 * replaced, an image that was never finished, whose checkpoint can be read all the same; under the new header
 * the new pool.
 */
import type { Extent } from '../../stores/store.ts'
import { CorruptBytesError } from '../../values/errors.ts'
import { CheckpointWriter } from './checkpoint.ts'
import { beginHeader, finishHeader, formerIdentity, type Identity, probe } from './header.ts'
import { type Geometry, geometryOf, NEWEST_VERSION } from './image-format.ts'
import type { ImageState } from './image-state.ts'
import { type Recovered, recoverImage } from './recovery.ts'
import { Segment } from './segment.ts'
import { AreaWriter, type Trace } from './writer.ts'

/** False, with nothing changed: there is no image, or none whose state can be recovered. */
export function formatOver(area: Uint8Array, identity: Identity, state: ImageState, trace?: Trace): boolean {
  const geometry = geometryOf(area.length)
  const found = recovered(area, geometry)
  if (found === undefined) return false
  const writer = new AreaWriter(area, trace)
  completeCheckpoint(writer, geometry, found)
  const next = found.activeGeneration + 1
  const checkpoint = new CheckpointWriter(writer, geometry, next, found.nextSequence, state.entries())
  Segment.begin(writer, geometry, next)
  checkpoint.advance(Number.POSITIVE_INFINITY)
  beginHeader(writer)
  finishHeader(writer, geometry, identity, NEWEST_VERSION)
  return true
}

/** Completes the checkpoint that is under way: the next one needs the slot of the one before it. */
function completeCheckpoint(writer: AreaWriter, geometry: Geometry, found: Recovered): void {
  const { activeGeneration, active, firstSequence, fold } = found
  Segment.resume(writer, geometry, activeGeneration, active)
  if (activeGeneration === found.checkpointGeneration) return
  new CheckpointWriter(writer, geometry, activeGeneration, firstSequence, fold.entries()).advance(
    Number.POSITIVE_INFINITY,
  )
}

/**
 * The bad blocks that the image in `area` states, or one whose formatting over another was interrupted.
 * `none`: no image says anything of this memory. `unreadable`: there is an image, and it cannot be read.
 * `totalBlocks`: of the pool now; an image of another size says nothing of its blocks.
 */
export function formerBadBlocks(area: Uint8Array, totalBlocks: number): Extent[] | 'none' | 'unreadable' {
  const state = probe(area)
  if (state === 'blank' || state === 'foreign') return 'none'
  const former = formerIdentity(area)
  if (former !== undefined && former.totalBlocks !== totalBlocks) return 'none'
  const found = recovered(area, geometryOf(area.length))
  if (found === undefined) return state === 'image' ? 'unreadable' : 'none'
  return [...found.fold.entries()].flatMap((entry) =>
    entry.kind === 'blocks' && entry.state === 'bad' && isInside(entry.extent, totalBlocks)
      ? [entry.extent]
      : [],
  )
}

const isInside = ({ start, count }: Extent, totalBlocks: number): boolean => start + count <= totalBlocks

function recovered(area: Uint8Array, geometry: Geometry): Recovered | undefined {
  if (probe(area) !== 'image' && probe(area) !== 'unfinished') return undefined
  try {
    return recoverImage(area, geometry)
  } catch (error) {
    if (error instanceof CorruptBytesError) return undefined
    throw error
  }
}
