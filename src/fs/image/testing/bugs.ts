/**
 * Mistakes of a writer, for tests that must notice each. The image never reads the area it writes, so a
 * changed list of stores is exactly what a writer with that mistake would have left.
 */
import { crc32 } from 'node:zlib'
import { type Geometry, padded, RECORD, SEGMENT, SLOT } from '../image-format.ts'
import type { TracedStore } from '../writer.ts'
import type { Run } from './recorded-run.ts'

/** What a store is for, by its offset and its value. */
export type StorePurpose =
  | 'invalidate slot'
  | 'checkpoint body'
  | 'checkpoint fields'
  | 'checkpoint commit'
  | 'zero first record'
  | 'tail'
  | 'segment generation'
  | 'zero next record'
  | 'record body'
  | 'record header'

export function roleOf(store: TracedStore, geometry: Geometry): StorePurpose {
  const isZero = store.bytes.every((byte) => byte === 0)
  for (const offset of geometry.slotOffsets) {
    const place = store.offset - offset
    if (place < 0 || place >= geometry.slotBytes) continue
    if (place === SLOT.commitWord) return isZero ? 'invalidate slot' : 'checkpoint commit'
    return place < SLOT.body ? 'checkpoint fields' : 'checkpoint body'
  }
  const place = (store.offset - geometry.segmentOffsets[0]) % geometry.segmentBytes
  if (place === SEGMENT.generationWord) return 'segment generation'
  if (place === SEGMENT.tailWord) return 'tail'
  if (store.bytes.length > 8) return 'record body'
  if (!isZero) return 'record header'
  return place === SEGMENT.firstRecord ? 'zero first record' : 'zero next record'
}

type Stores = readonly TracedStore[]

/** The run as it would be if each commit's stores were `change`d. */
export const withStores = (run: Run, change: (stores: Stores) => Stores): Run => ({
  ...run,
  commits: run.commits.map((commit) => ({ ...commit, stores: change(commit.stores) })),
})

/** Stores of this role are never made. */
export const dropped = (run: Run, geometry: Geometry, role: StorePurpose): Run =>
  withStores(run, (stores) => stores.filter((store) => roleOf(store, geometry) !== role))

/**
 * In each commit, the first store of role `late` is made only after the first one of role `early` that
 * follows it.
 */
export const swapped = (run: Run, geometry: Geometry, late: StorePurpose, early: StorePurpose): Run =>
  withStores(run, (stores) => {
    const from = stores.findIndex((store) => roleOf(store, geometry) === late)
    const to = stores.findIndex((store, index) => index > from && roleOf(store, geometry) === early)
    if (from < 0 || to < 0) return stores
    const moved = stores[from] as TracedStore
    return [...stores.slice(0, from), ...stores.slice(from + 1, to + 1), moved, ...stores.slice(to + 1)]
  })

/**
 * Gives each record in `area` the checksum its bytes have now. What then opens is what a reader that does not
 * check would have taken for a record.
 */
export function forgeChecksums(area: Uint8Array, geometry: Geometry): void {
  for (const offset of geometry.segmentOffsets) {
    const segment = area.subarray(offset, offset + geometry.segmentBytes)
    const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
    for (let at: number = SEGMENT.firstRecord; at + RECORD.body <= segment.length; ) {
      const length = view.getUint32(at, true)
      const end = at + RECORD.body + padded(length)
      if (length === 0 || end > segment.length) break
      view.setUint32(at + 4, crc32(segment.subarray(at + RECORD.body, at + RECORD.body + length)), true)
      at = end
    }
  }
}
