/**
 * The places of everything in the metadata area: the layout of the format, computed from the area's size
 * alone, and the same in every version so far. Must not: read or write a byte. The page that explains it is
 * docs/internals/image-format.md.
 *
 *   header | slot 0 | slot 1 | segment 0 | segment 1
 *
 * All numbers in the area are little-endian; all offsets are bytes. Generation g uses slot g % 2 and segment
 * g % 2.
 */
import { UsageError } from '../../values/errors.ts'
import { GIB, KIB } from '../../values/units.ts'

/** Version 1 has no fifos, sockets, device nodes and properties; all else is as in version 2. */
export type FormatVersion = 1 | 2
/** The version of a new image, and of one that was upgraded. */
export const NEWEST_VERSION: FormatVersion = 2
export const HEADER_BYTES = 4096
/** Below this a record would be too small for an inode with a long name. */
export const SMALLEST_AREA_BYTES = 64 * KIB
/** Offsets in its segments fit into the 32 bits of a tail word; no pool needs a larger one. */
export const LARGEST_AREA_BYTES = 16 * GIB

/**
 * A slot begins with: commit word, body bytes (u64), first sequence (u64), entry count (u32), body crc32
 * (u32).
 */
export const SLOT = {
  commitWord: 0,
  bodyBytes: 8,
  firstSequence: 16,
  entryCount: 24,
  bodyCrc: 28,
  body: 32,
} as const

/** A segment begins with the checked words of its generation and of its tail; records follow. */
export const SEGMENT = { generationWord: 0, tailWord: 8, firstRecord: 16 } as const

/** A record: header word (length u32, crc32 u32), then the body the crc covers, then zeros up to 8 bytes. */
export const RECORD = {
  headerWord: 0,
  body: 8,
  sequence: 8,
  generation: 16,
  entryCount: 20,
  unique: 24,
  epoch: 32,
  entries: 40,
} as const

export interface Geometry {
  readonly areaBytes: number
  readonly slotBytes: number
  readonly slotOffsets: readonly [number, number]
  readonly segmentBytes: number
  readonly segmentOffsets: readonly [number, number]
  /** Largest record, header word and padding included. */
  readonly recordLimitBytes: number
  /** Largest state: the sum of its entries' encoded sizes. */
  readonly stateLimitBytes: number
}

/**
 * Checkpoint bytes written for each byte logged while a checkpoint is under way.
 *
 * With a segment of L bytes, the proportions below guarantee three things for a state of at most L bytes and
 * records of at most L/8:
 *
 * - An iteration that runs while the state changes meets the state as it was plus, at most, what was logged
 *   meanwhile (x bytes), so it ends when 4x >= L + x: after x = L/3 logged bytes. It never starts with the
 *   segment more than half full, and L/2 + L/3 + L/8 < L: the checkpoint is complete before its segment can
 *   be full.
 * - It then wrote at most L + L/3 bytes and one entry more (L/8): less than a slot's 5/3 L.
 * - No operation writes more than five times its own record and one entry, however many files there are.
 */
export const CHECKPOINT_PACE = 4

const alignDown = (bytes: number): number => bytes - (bytes % 8)

/** Where things are in an area of `areaBytes`. Throws `UsageError` for a size that cannot hold an image. */
export function geometryOf(areaBytes: number): Geometry {
  if (areaBytes < SMALLEST_AREA_BYTES || areaBytes > LARGEST_AREA_BYTES || areaBytes % 8 !== 0) {
    throw new UsageError(
      `a metadata area of ${areaBytes} bytes cannot hold an image: give it a multiple of 8 ` +
        `from ${SMALLEST_AREA_BYTES} to ${LARGEST_AREA_BYTES} bytes`,
    )
  }
  const room = areaBytes - HEADER_BYTES
  const segmentBytes = alignDown((room * 3) / 16)
  const slotBytes = alignDown((room * 5) / 16)
  const firstSegment = HEADER_BYTES + 2 * slotBytes
  return {
    areaBytes,
    slotBytes,
    slotOffsets: [HEADER_BYTES, HEADER_BYTES + slotBytes],
    segmentBytes,
    segmentOffsets: [firstSegment, firstSegment + segmentBytes],
    recordLimitBytes: alignDown(segmentBytes / 8),
    stateLimitBytes: segmentBytes,
  }
}

/** Which of the two slots and segments a generation uses. */
export const sideOf = (generation: number): 0 | 1 => (generation % 2 === 0 ? 0 : 1)

export const slotOf = (geometry: Geometry, generation: number): number =>
  geometry.slotOffsets[sideOf(generation)]
export const segmentOf = (geometry: Geometry, generation: number): number =>
  geometry.segmentOffsets[sideOf(generation)]

/** A record occupies whole words. */
export const padded = (bytes: number): number => Math.ceil(bytes / 8) * 8
