/**
 * The choice of the physical range that a carve-out takes. Pure. Must not: write kernel options
 * (reserve-plan.ts).
 *
 * Rules for every place: multiples of 2 MiB, ordinary RAM throughout, and nothing below 1 GiB. Below it lies
 * what no option moves: a kernel that is not randomised (boot loaders and UEFI put it into the first free
 * place from 16 MiB on), memory for old devices, a crash kernel's low part.
 */
import { formatBytes, formatRange } from '../linux/memmap.ts'
import { type MemoryNode, nodeIdsOf } from '../linux/memory-nodes.ts'
import {
  covers,
  intersectRanges,
  overlap,
  type PhysicalRange,
  rangeBetween,
  rangeEnd,
  subtractRanges,
  totalBytes,
} from '../linux/memory-ranges.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import type { CarveOutType } from '../values/store-kinds.ts'
import { GIB, PMD_BYTES, SMALLEST_REGION_BYTES } from '../values/units.ts'
import type { Occupant } from './machine-memory.ts'

/** No carve-out begins below it: see the rules above. */
const LOWEST_BYTE = GIB
/** Above it there is no memory that a 32-bit device or an old loader could need. */
const DMA32_END = 4 * GIB
/** A kernel, its services and QEMU processes, without any guest. */
const HOST_MIN_BYTES = GIB
/** A struct page, 64 bytes, for each 4 KiB of a carve-out: in the host's own memory. */
const PAGES_SHARE = 64

export interface PlaceRequest {
  readonly sizeBytes: number
  /** Physical address; undefined: wherever it is best. */
  readonly at: number | undefined
  /** Memory node; undefined: any. */
  readonly node: number | undefined
}

export interface Room {
  /** Ordinary RAM of the kernel to come, before this carve-out. */
  readonly ram: readonly PhysicalRange[]
  /** Parts of it that are taken, with the reason. */
  readonly taken: readonly { readonly range: PhysicalRange; readonly why: string }[]
  readonly nodes: readonly MemoryNode[]
  /** What is there now and will be elsewhere after the next boot; a place without them is still better. */
  readonly occupants: readonly Occupant[]
  /** Whether KASLR would avoid a carve-out in this range without a further option. */
  readonly isSafeFromKaslr: (range: PhysicalRange) => boolean
}

/**
 * Where the carve-out goes, of a size that was checked (`checkSizes`). Throws UsageError: one for each thing
 * that can be wrong with the request.
 */
export function choosePlace(room: Room, request: PlaceRequest): PhysicalRange {
  const { node } = request
  const known = room.nodes.map(({ id }) => id)
  if (node !== undefined && !known.includes(node))
    throw new UsageError(
      `no memory node ${node} on this machine: there are ${known.join(', ') || 'none known'}`,
    )
  return request.at === undefined ? best(room, request) : checked(room, request, request.at)
}

/** Reserved memory has no struct pages, so it takes none of the host's own memory. */
interface Share {
  /** Of all carve-outs that are planned. */
  readonly sizeBytes: number
  readonly type: CarveOutType
}

/** What the host is left with, and what it needs: bytes. */
export function hostShare(
  room: Room,
  { sizeBytes, type }: Share,
): { readonly keeps: number; readonly needs: number } {
  const crash = room.occupants.filter(({ what }) => what === 'crash kernel').map(({ range }) => range)
  return {
    keeps: totalBytes(room.ram) - sizeBytes,
    needs:
      HOST_MIN_BYTES +
      (type === 'soft-reserved' ? Math.ceil(sizeBytes / PAGES_SHARE) : 0) +
      totalBytes(crash),
  }
}

/** What each node has for the host when `ranges` are taken. */
export const nodeShares = (
  { ram, nodes }: Room,
  ranges: readonly PhysicalRange[],
): { readonly node: number; readonly keepsBytes: number }[] =>
  nodes.map(({ id, ranges: own }) => ({
    node: id,
    keepsBytes: totalBytes(intersectRanges(subtractRanges(ram, ranges), own)),
  }))

/** `sizes`: of the carve-outs that are planned. Throws UsageError. */
export function checkSizes(room: Room, sizes: readonly number[], type: CarveOutType): void {
  for (const sizeBytes of sizes) {
    const size = formatSize(sizeBytes)
    if (sizeBytes % PMD_BYTES !== 0) throw new UsageError(`size ${size} is not a multiple of 2M`)
    if (sizeBytes < SMALLEST_REGION_BYTES)
      throw new UsageError(`size ${size} is too small: a pool needs ${formatSize(SMALLEST_REGION_BYTES)}`)
  }
  const sizeBytes = sizes.reduce((sum, each) => sum + each, 0)
  const { keeps, needs } = hostShare(room, { sizeBytes, type })
  if (keeps >= needs) return
  const ram = totalBytes(room.ram)
  const fixed = hostShare(room, { sizeBytes: 0, type }).needs
  const share = type === 'soft-reserved' ? PAGES_SHARE / (PAGES_SHARE + 1) : 1
  const most = alignDown((ram - fixed) * share, PMD_BYTES)
  const size = sizes.map((each) => formatSize(each)).join(' and ')
  throw new UsageError(
    `size ${size} is too much: of ${inGibibytes(ram)} of RAM the host must keep ${inGibibytes(needs)}; ` +
      (most < SMALLEST_REGION_BYTES
        ? 'this machine has no RAM to spare'
        : `at most ${formatSize(most)} can go${sizes.length > 1 ? ' in all' : ''}`),
  )
}

/** For messages, where it need not be exact. */
export const inGibibytes = (bytes: number): string => `${(bytes / GIB).toFixed(1)}G`

/** Free RAM that a carve-out may have. */
function free({ ram, taken }: Room): PhysicalRange[] {
  const low = rangeBetween(0, LOWEST_BYTE)
  return subtractRanges(ram, [low, ...taken.map(({ range }) => range)])
}

function checked(room: Room, { sizeBytes, node }: PlaceRequest, at: number): PhysicalRange {
  const range = { start: at, lengthBytes: sizeBytes }
  const named = `${formatSize(sizeBytes)} at ${formatBytes(at)}`
  if (at % PMD_BYTES !== 0) throw new UsageError(`address ${formatBytes(at)} is not a multiple of 2M`)
  if (at < LOWEST_BYTE)
    throw new UsageError(
      `${named} begins below 1G: the memory there is the kernel's and old devices', whatever is asked for`,
    )
  for (const { range: other, why } of room.taken)
    if (overlap(range, other)) throw new UsageError(`${named} overlaps ${formatRange(other)}: ${why}`)
  const [gap] = subtractRanges([range], room.ram)
  if (gap !== undefined)
    throw new UsageError(
      `${named} is not all ordinary RAM: ${formatRange(gap)} is the firmware's, a device's or nothing`,
    )
  if (node !== undefined && !covers(nodeRanges(room, node), range))
    throw new UsageError(`${named} is not in memory node ${node}`)
  return range
}

function best(room: Room, { sizeBytes, node }: PlaceRequest): PhysicalRange {
  const all = free(room)
  const eligible = node === undefined ? all : intersectRanges(all, nodeRanges(room, node))
  const places = starts(room, eligible, sizeBytes).map((start) => ({ start, lengthBytes: sizeBytes }))
  const rated = places.map((range) => ({ range, rating: rate(room, range) }))
  const chosen = rated.toSorted((one, other) => compare(one.rating, other.rating))[0]
  if (chosen !== undefined) return chosen.range
  const longest = eligible.toSorted((one, other) => other.lengthBytes - one.lengthBytes)[0]
  const where = node === undefined ? '' : ` in memory node ${node}`
  throw new UsageError(
    `no ${formatSize(sizeBytes)} of free RAM in one piece above 1G${where}: ` +
      (longest ? `the longest piece is ${formatRange(longest)}` : 'there is none at all'),
  )
}

/**
 * Every start that can be the best: the lowest of each kind in each piece of RAM, and in each part of a piece
 * that rates better than the rest of it.
 */
function starts(room: Room, eligible: readonly PhysicalRange[], sizeBytes: number): number[] {
  const pieces = [
    eligible,
    ...room.nodes.map(({ ranges }) => intersectRanges(eligible, ranges)),
    subtractRanges(
      eligible,
      room.occupants.map(({ range }) => range),
    ),
  ].flat()
  const found = pieces.flatMap((piece) =>
    [piece.start, DMA32_END, sizeBytes].flatMap((floor) =>
      [PMD_BYTES, GIB]
        .map((align) => alignUp(Math.max(piece.start, floor), align))
        .filter((start) => start + sizeBytes <= rangeEnd(piece)),
    ),
  )
  return [...new Set(found)]
}

/** Better places compare lower; all else equal, the lowest address. */
function rate(room: Room, range: PhysicalRange): number[] {
  const inOneNode = room.nodes.length === 0 || nodeIdsOf(room.nodes, range).length === 1
  return [
    Number(range.start < DMA32_END),
    Number(!inOneNode),
    Number(room.occupants.some((occupant) => overlap(occupant.range, range))),
    Number(range.start % GIB !== 0),
    Number(!room.isSafeFromKaslr(range)),
    range.start,
  ]
}

function compare(one: readonly number[], other: readonly number[]): number {
  const index = one.findIndex((value, at) => value !== other[at])
  return index < 0 ? 0 : (one[index] as number) - (other[index] as number)
}

const nodeRanges = (room: Room, node: number): readonly PhysicalRange[] =>
  room.nodes.find(({ id }) => id === node)?.ranges ?? []

const alignUp = (value: number, align: number): number => Math.ceil(value / align) * align
const alignDown = (value: number, align: number): number => Math.floor(value / align) * align
