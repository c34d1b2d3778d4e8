/**
 * The memory map of a kernel that gets options: the firmware's ranges, changed by one option after the other.
 * Pure. Entries may overlap until the end, when the largest type wins; the kernel does it in this order, and
 * the result depends on it. Source: e820__range_add(), e820__range_update(), e820__range_remove(),
 * e820__update_table(), arch/x86/kernel/e820.c.
 */
import { E820, type MemoryOption } from '../linux/memmap.ts'
import { mergeRanges, type PhysicalRange, rangeEnd } from '../linux/memory-ranges.ts'

/** Physical bytes `start` to `end` (not included). */
export interface E820Entry {
  readonly start: number
  readonly end: number
  /** A number of E820. */
  readonly type: number
}

/** The map of a kernel with these options: ascending, without overlaps. */
export function applyMemoryOptions(
  firmware: readonly E820Entry[],
  options: readonly MemoryOption[],
): E820Entry[] {
  return settle(options.reduce<readonly E820Entry[]>(applyOne, settle(firmware)))
}

function applyOne(table: readonly E820Entry[], option: MemoryOption): readonly E820Entry[] {
  switch (option.kind) {
    case 'malformed':
      return table
    case 'exactmap':
      return []
    case 'limit':
      return rewrite(table, option.sizeBytes, Number.POSITIVE_INFINITY, E820.RAM, 0)
    case 'add':
      return add(table, option.range, option.type)
    case 'retype': {
      const { range, from, to } = option
      if (from === 0 && to !== 0) return add(table, range, to)
      return rewrite(table, range.start, rangeEnd(range), from, to)
    }
  }
}

const add = (table: readonly E820Entry[], range: PhysicalRange, type: number): E820Entry[] => [
  ...table,
  { start: range.start, end: rangeEnd(range), type },
]

/** Memory of type `from` (0: of any) between `start` and `end` becomes `to` (0: is removed). */
function rewrite(
  table: readonly E820Entry[],
  start: number,
  end: number,
  from: number,
  to: number,
): E820Entry[] {
  return table.flatMap((entry) => {
    if ((from !== 0 && entry.type !== from) || entry.start >= end || entry.end <= start) return [entry]
    const inside = { start: Math.max(entry.start, start), end: Math.min(entry.end, end), type: to }
    const outside = [
      { ...entry, end: inside.start },
      { ...entry, start: inside.end },
    ]
    return to === 0 ? outside : [...outside, inside]
  })
}

/** Ranges of these types are not joined, and end wherever any entry begins or ends (e820_nomerge()). */
const STAYS_APART: ReadonlySet<number> = new Set([E820.PERSISTENT, E820.SOFT_RESERVED])

function settle(table: readonly E820Entry[]): E820Entry[] {
  const entries = table.filter(({ start, end }) => start < end)
  const points = [...new Set(entries.flatMap(({ start, end }) => [start, end]))].toSorted((a, b) => a - b)
  const settled: E820Entry[] = []
  for (const [index, start] of points.entries()) {
    const end = points[index + 1] ?? start
    const types = entries.flatMap((entry) => (entry.start <= start && start < entry.end ? entry.type : []))
    if (types.length === 0) continue
    const type = Math.max(...types)
    const last = settled.at(-1)
    if (last?.end === start && last.type === type && !STAYS_APART.has(type))
      settled[settled.length - 1] = { ...last, end }
    else settled.push({ start, end, type })
  }
  return settled
}

/** The ranges of one type; those of RAM joined, since no boundary in it means anything. */
export function rangesOfType(map: readonly E820Entry[], type: number): PhysicalRange[] {
  const ranges = map
    .filter((range) => range.type === type)
    .map(({ start, end }) => ({ start, lengthBytes: end - start }))
  return STAYS_APART.has(type) ? ranges : mergeRanges(ranges)
}

/** What dax_hmem makes regions of, one of each. */
export const softReserved = (map: readonly E820Entry[]): PhysicalRange[] =>
  rangesOfType(map, E820.SOFT_RESERVED)
