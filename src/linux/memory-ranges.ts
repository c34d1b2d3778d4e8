/**
 * The arithmetic of ranges of physical memory. Pure; ranges are half-open, and lists of them need not be
 * sorted.
 */

/** Physical bytes, from `start` on. */
export interface PhysicalRange {
  readonly start: number
  readonly lengthBytes: number
}

export const rangeEnd = ({ start, lengthBytes }: PhysicalRange): number => start + lengthBytes

export const rangeBetween = (start: number, end: number): PhysicalRange => ({
  start,
  lengthBytes: end - start,
})

export const overlap = (one: PhysicalRange, other: PhysicalRange): boolean =>
  one.start < rangeEnd(other) && other.start < rangeEnd(one)

/** Whether a range of one list and one of the other have a byte in common. */
export const anyOverlap = (one: readonly PhysicalRange[], other: readonly PhysicalRange[]): boolean =>
  one.some((a) => other.some((b) => overlap(a, b)))

export const totalBytes = (ranges: readonly PhysicalRange[]): number =>
  ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)

/** Sorted, without empty ones, those that touch or overlap joined. */
export function mergeRanges(ranges: readonly PhysicalRange[]): PhysicalRange[] {
  const merged: PhysicalRange[] = []
  for (const range of ranges.toSorted((one, other) => one.start - other.start)) {
    const last = merged.at(-1)
    if (range.lengthBytes <= 0) continue
    if (last !== undefined && range.start <= rangeEnd(last))
      merged[merged.length - 1] = rangeBetween(last.start, Math.max(rangeEnd(last), rangeEnd(range)))
    else merged.push(range)
  }
  return merged
}

/** The parts of `ranges` that no hole covers. */
export function subtractRanges(
  ranges: readonly PhysicalRange[],
  holes: readonly PhysicalRange[],
): PhysicalRange[] {
  let left = mergeRanges(ranges)
  for (const hole of mergeRanges(holes)) {
    left = left.flatMap((range) => {
      if (!overlap(range, hole)) return [range]
      const before = rangeBetween(range.start, Math.max(range.start, hole.start))
      const after = rangeBetween(Math.min(rangeEnd(range), rangeEnd(hole)), rangeEnd(range))
      return [before, after].filter(({ lengthBytes }) => lengthBytes > 0)
    })
  }
  return left
}

export function intersectRanges(
  ranges: readonly PhysicalRange[],
  others: readonly PhysicalRange[],
): PhysicalRange[] {
  return subtractRanges(ranges, subtractRanges(ranges, others))
}

/** Whether all of `range` lies in `ranges`. */
export const covers = (ranges: readonly PhysicalRange[], range: PhysicalRange): boolean =>
  subtractRanges([range], ranges).length === 0
