/**
 * The layout of a region: blocks from its first byte on, the metadata area at its end, chunks. Pure
 * arithmetic. It is part of the persistent format: under the next kernel the same region must have the same
 * layout.
 */
import { type MemoryNode, nodeParts } from '../../linux/memory-nodes.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import { UsageError } from '../../values/errors.ts'
import { formatSize } from '../../values/size.ts'
import { GIB, MIB, SMALLEST_REGION_BYTES } from '../../values/units.ts'
import {
  BLOCK_BYTES,
  CHUNK_BLOCKS,
  type Extent,
  type FrameGrid,
  type NodePart,
  type PoolPlace,
} from '../store.ts'

const METADATA_MIN_BYTES = 8 * MIB
const METADATA_MAX_BYTES = 512 * MIB
/** Metadata is this part of the region: room for an inode of some KiB for each file of a block. */
const METADATA_SHARE = 64

export interface RegionLayout {
  /** All of it, from the first byte of block 0 on, metadata included. */
  readonly range: PhysicalRange
  readonly totalBlocks: number
  readonly metadata: PhysicalRange
}

/**
 * Block i is region offset i * BLOCK_BYTES, so that blocks are aligned as the region is. Errors: UsageError.
 */
export function layOut(region: PhysicalRange, name: string): RegionLayout {
  const { start, lengthBytes } = region
  if (start % BLOCK_BYTES !== 0)
    throw new UsageError(
      `region ${name} begins at 0x${start.toString(16)}: it must begin at a multiple of 2M`,
    )
  if (lengthBytes < SMALLEST_REGION_BYTES)
    throw new UsageError(
      `region ${name} has ${formatSize(lengthBytes)}: a pool needs ${formatSize(SMALLEST_REGION_BYTES)}`,
    )
  const wholeBytes = roundDown(lengthBytes, BLOCK_BYTES)
  const share = Math.min(Math.max(lengthBytes / METADATA_SHARE, METADATA_MIN_BYTES), METADATA_MAX_BYTES)
  const metadataBytes = roundDown(share, BLOCK_BYTES)
  return {
    range: region,
    totalBlocks: (wholeBytes - metadataBytes) / BLOCK_BYTES,
    metadata: { start: start + wholeBytes - metadataBytes, lengthBytes: metadataBytes },
  }
}

/** Which of its parts is of which of this machine's memory nodes. */
export const nodesIn = ({ range }: RegionLayout, nodes: readonly MemoryNode[]): NodePart[] =>
  nodeParts(nodes, range).map(({ node, range: part }) => ({ node, ...part }))

/** `nodes`: as of `nodesIn`. */
export const placeOf = ({ range }: RegionLayout, nodes: readonly NodePart[]): PoolPlace => ({
  ...range,
  ...(nodes.length > 0 && { nodes }),
})

/** Where 1 GiB pages can lie: they are aligned in physical memory. */
export function gibibyteFrames({ range: { start } }: Pick<RegionLayout, 'range'>): FrameGrid {
  const blocks = GIB / BLOCK_BYTES
  return { blocks, first: (Math.ceil(start / GIB) * GIB - start) / BLOCK_BYTES }
}

/**
 * The physical ranges of a file's blocks, in file order; blocks that follow one another are one range. Errors
 * (RangeError): an extent is not inside the pool.
 */
export function rangesOf(layout: RegionLayout, extents: readonly Extent[]): PhysicalRange[] {
  const ranges: PhysicalRange[] = []
  for (const { start, count } of extents) {
    if (count <= 0 || start < 0 || start + count > layout.totalBlocks)
      throw new RangeError(`blocks ${start}+${count} do not lie in a pool of ${layout.totalBlocks}`)
    const range = { start: layout.range.start + start * BLOCK_BYTES, lengthBytes: count * BLOCK_BYTES }
    const last = ranges.at(-1)
    if (last !== undefined && last.start + last.lengthBytes === range.start)
      ranges[ranges.length - 1] = { start: last.start, lengthBytes: last.lengthBytes + range.lengthBytes }
    else ranges.push(range)
  }
  return ranges
}

export const chunkOf = (block: number): number => Math.floor(block / CHUNK_BLOCKS)

/** The blocks of a data chunk; the pool's last one may be smaller. */
export function chunkExtent({ totalBlocks }: RegionLayout, chunk: number): Extent {
  const start = chunk * CHUNK_BLOCKS
  return { start, count: Math.min(CHUNK_BLOCKS, totalBlocks - start) }
}

/** The chunks that have a block of these extents, ascending. */
export function chunksOf(extents: readonly Extent[]): number[] {
  const chunks = new Set<number>()
  for (const { start, count } of extents)
    for (let chunk = chunkOf(start); chunk <= chunkOf(start + count - 1); chunk++) chunks.add(chunk)
  return [...chunks].toSorted((one, other) => one - other)
}

export function isDataChunk(layout: RegionLayout, ranges: readonly PhysicalRange[]): boolean {
  const [range] = ranges
  if (range === undefined || ranges.length !== 1) return false
  const block = (range.start - layout.range.start) / BLOCK_BYTES
  if (block < 0 || block >= layout.totalBlocks || block % CHUNK_BLOCKS !== 0) return false
  return range.lengthBytes === chunkExtent(layout, chunkOf(block)).count * BLOCK_BYTES
}

const roundDown = (value: number, unit: number): number => Math.floor(value / unit) * unit
