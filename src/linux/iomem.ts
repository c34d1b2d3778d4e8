/**
 * /proc/iomem: what has which physical addresses. The kernel shows addresses to root alone. Source:
 * kernel/resource.c.
 */
import { type PhysicalRange, rangeBetween } from './memory-ranges.ts'

/** A line of /proc/iomem. `depth` 0: not part of another one. */
export interface IomemLine {
  readonly depth: number
  readonly range: PhysicalRange
  readonly name: string
}

/**
 * Lines `START-LAST : NAME` in hexadecimal, two spaces further in for each depth. For others than root all
 * addresses are 0: those lines are left out.
 */
export function parseIomem(content: string): IomemLine[] {
  const lines = content.matchAll(/^( *)([0-9a-f]+)-([0-9a-f]+) : (.*)$/gm)
  return [...lines].flatMap(([, indent = '', first = '', last = '', name = '']) => {
    const range = rangeBetween(Number.parseInt(first, 16), Number.parseInt(last, 16) + 1)
    return range.lengthBytes > 1 ? [{ depth: indent.length / 2, range, name }] : []
  })
}
