/**
 * The image in the form in which the keeper hands it to the next kernel: the same format in an area no larger
 * than the state needs, because two kernels have to leave every preserved page alone. It holds one checkpoint
 * and an empty log.
 */

import { CorruptBytesError } from '../../values/errors.ts'
import { PTE_BYTES } from '../../values/units.ts'
import type { Entry } from '../state/entry.ts'
import type { Expected, Identity } from './header.ts'
import { Image } from './image.ts'
import { type FormatVersion, HEADER_BYTES, SLOT, SMALLEST_AREA_BYTES } from './image-format.ts'
import type { ImageState, VerifiableState } from './image-state.ts'
import { entryBytes } from './state-size.ts'

/** `geometryOf`: a slot is five sixteenths of the room. */
const ROOM_PER_SLOT = 16 / 5

/** The state of a pool in an area of its own, in whole pages, in the version that the pool has. */
export function packImage(identity: Identity, state: ImageState, version: FormatVersion): Uint8Array {
  let bytes: number = SLOT.body
  for (const entry of state.entries()) bytes += entryBytes(entry as Entry)
  const areaBytes = Math.max(SMALLEST_AREA_BYTES, HEADER_BYTES + Math.ceil(bytes * ROOM_PER_SLOT))
  const area = new Uint8Array(Math.ceil(areaBytes / PTE_BYTES + 1) * PTE_BYTES)
  Image.format(area, identity, state, { version })
  return area
}

/**
 * Makes `area` the image of what `packed` holds, in its version, and fills `emptyState`. Throws
 * CorruptBytesError, with `area` unchanged, if `packed` is of another version, store or pool, damaged, or
 * contradicts itself.
 */
export function unpackImage<S extends VerifiableState>(
  packed: Uint8Array,
  expected: Expected,
  emptyState: S,
  area: Uint8Array,
): void {
  // A copy is opened: `Image.open` may write, and what the former kernel handed over stays unchanged.
  const { identity, state, version } = Image.open(Uint8Array.from(packed), expected, emptyState)
  const [contradiction] = state.verify(identity.totalBlocks, expected.chunkBlocks)
  if (contradiction !== undefined)
    throw new CorruptBytesError(`the image that was handed over contradicts itself: ${contradiction}`)
  Image.format(area, identity, state, { version })
}
