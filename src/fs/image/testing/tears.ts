/**
 * The torn last store of a crash. A torn word must be recovered from at each byte. A torn piece of a body
 * lies where no reader may look yet: that is checked at each byte, and recovery itself, which takes longer,
 * at some of them.
 */
import assert from 'node:assert/strict'
import { readSlotState } from '../checkpoint.ts'
import { type Geometry, RECORD, SLOT } from '../image-format.ts'
import { readRecord } from '../record.ts'
import type { TracedStore } from '../writer.ts'

/** Recovery of a torn body is tried at each of so many bytes. */
const STRIDE = 32

/**
 * Stores the first 1, 2, … bytes of `store` in `area` (all but the last), and calls `check` where recovery
 * might see the difference. `area` is left with the store one byte short of whole.
 */
export function eachTear(
  area: Uint8Array,
  geometry: Geometry,
  store: TracedStore,
  check: (bytes: number) => void,
): void {
  const isUnread = unreadCheck(area, geometry, store)
  for (let bytes = 1; bytes < store.bytes.length; bytes++) {
    area[store.offset + bytes - 1] = store.bytes[bytes - 1] as number
    if (isUnread === undefined || bytes % STRIDE === 0) check(bytes)
    else assert.ok(isUnread(), `a store at ${store.offset}, torn at ${bytes}, can be read`)
  }
}

/** For a body: a check that no reader reaches it. For a word: undefined, readers read it. */
function unreadCheck(area: Uint8Array, geometry: Geometry, store: TracedStore): (() => boolean) | undefined {
  const { offset } = store
  if (store.bytes.length === 8) return undefined
  for (const side of [0, 1] as const) {
    const slot = offset - geometry.slotOffsets[side]
    if (slot >= SLOT.bodyBytes && slot < geometry.slotBytes) {
      return () => readSlotState(area, geometry, side).kind === 'unfinished'
    }
    const end = geometry.segmentOffsets[side] + geometry.segmentBytes
    if (offset >= geometry.segmentOffsets[side] && offset < end) {
      const record = area.subarray(offset - RECORD.body, end)
      return () => readRecord(record).kind === 'end'
    }
  }
  return undefined
}
