/** What every test of the image needs: an area with an image in it, and stores replayed on a copy. */

import { KIB } from '../../../values/units.ts'
import type { Expected, Identity } from '../header.ts'
import { Image } from '../image.ts'
import { NEWEST_VERSION } from '../image-format.ts'
import type { Trace, TracedStore } from '../writer.ts'
import { BLOCKS } from './steps.ts'
import { TableState } from './table-state.ts'

export const SMALL_AREA_BYTES = 64 * KIB
export const IDENTITY: Identity = {
  poolName: 'test pool',
  storeKind: 'memfd',
  totalBlocks: BLOCKS,
  uuid: Uint8Array.from({ length: 16 }, (_, index) => index),
}
export const EXPECTED: Expected = { storeKind: 'memfd', totalBlocks: BLOCKS }

export function formatted(areaBytes = SMALL_AREA_BYTES, version = NEWEST_VERSION): Uint8Array {
  const area = new Uint8Array(areaBytes)
  Image.format(area, IDENTITY, new TableState(BLOCKS), { version })
  return area
}

export const openImage = (area: Uint8Array, trace?: Trace): Image<TableState> =>
  Image.open(area, EXPECTED, new TableState(BLOCKS), trace)

/** The first `bytes` bytes of a store; all of them unless said otherwise. */
export const replay = (area: Uint8Array, store: TracedStore, bytes = store.bytes.length): void =>
  area.set(store.bytes.subarray(0, bytes), store.offset)
