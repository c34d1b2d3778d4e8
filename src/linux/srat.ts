/**
 * The firmware's table of what belongs to which memory node (SRAT): ranges of physical addresses, ordinary
 * RAM or set aside. sysfs lists RAM alone. Pure.
 *
 * The firmware names proximity domains, the kernel counts nodes in the order in which it meets domains:
 * processors and other initiators in the order of the table, then memory. Sources: acpi_numa_init() and
 * acpi_map_pxm_to_node(), drivers/acpi/numa/srat.c; structs acpi_srat_*, include/acpi/actbl3.h.
 */
import { unsignedQuantity } from '../values/narrow.ts'
import type { PhysicalRange } from './memory-ranges.ts'

/** In sysfs; for root alone. */
export const SRAT_PATH = 'firmware/acpi/tables/SRAT'

export interface NodeRange {
  /** As the kernel numbers it. */
  readonly node: number
  readonly range: PhysicalRange
}

/** Behind the header of every ACPI table (36 bytes) and 12 reserved ones. */
const FIRST_ENTRY = 48
const REVISION = 8
const ENABLED = 1
const MEMORY = 1

interface Layout {
  readonly lengthBytes: number
  readonly flags: number
  readonly domain: (table: Buffer, at: number) => number
}

const wide = (offset: number) => (table: Buffer, at: number) => table.readUInt32LE(at + offset)

/** What has a domain, by the type of the entry. */
const INITIATORS: Readonly<Record<number, Layout>> = {
  // A processor by its APIC id: three more bytes of the domain stand apart.
  0: {
    lengthBytes: 16,
    flags: 4,
    domain: (table, at) => table.readUInt8(at + 2) + table.readUIntLE(at + 9, 3) * 256,
  },
  // A processor by its x2APIC id.
  2: { lengthBytes: 24, flags: 12, domain: wide(4) },
  // Neither processor nor memory.
  5: { lengthBytes: 32, flags: 24, domain: wide(4) },
}
const OF_MEMORY: Layout = { lengthBytes: 40, flags: 28, domain: wide(2) }

/** undefined: it is no SRAT, or cut off, and the kernel does not use it. */
export function parseSrat(table: Buffer): NodeRange[] | undefined {
  const entries = entriesOf(table)
  if (entries === undefined) return undefined
  // A table of the first revision has one byte for a domain.
  const mask = table.readUInt8(REVISION) <= 1 ? 0xff : 0xffff_ffff
  const nodes = new Map<number, number>()
  const nodeOf = (layout: Layout, at: number): number => {
    const domain = (layout.domain(table, at) & mask) >>> 0
    if (!nodes.has(domain)) nodes.set(domain, nodes.size)
    return nodes.get(domain) as number
  }
  const isUsed = (layout: Layout, { at, lengthBytes }: Entry): boolean =>
    lengthBytes >= layout.lengthBytes && (table.readUInt32LE(at + layout.flags) & ENABLED) !== 0
  for (const entry of entries) {
    const layout = INITIATORS[entry.type]
    if (layout !== undefined && isUsed(layout, entry)) nodeOf(layout, entry.at)
  }
  return entries.flatMap((entry) => {
    if (entry.type !== MEMORY || !isUsed(OF_MEMORY, entry)) return []
    const node = nodeOf(OF_MEMORY, entry.at)
    const range = { start: quantity(table, entry.at + 8), lengthBytes: quantity(table, entry.at + 16) }
    return [{ node, range }]
  })
}

interface Entry {
  readonly type: number
  readonly at: number
  readonly lengthBytes: number
}

function entriesOf(table: Buffer): Entry[] | undefined {
  if (table.length < FIRST_ENTRY || table.toString('latin1', 0, 4) !== 'SRAT') return undefined
  const entries: Entry[] = []
  for (let at = FIRST_ENTRY; at < table.length; ) {
    const lengthBytes = at + 2 <= table.length ? table.readUInt8(at + 1) : 0
    if (lengthBytes < 2 || at + lengthBytes > table.length) return undefined
    entries.push({ type: table.readUInt8(at), at, lengthBytes })
    at += lengthBytes
  }
  return entries
}

/** Beyond 2^53 it saturates. */
const quantity = (table: Buffer, at: number): number =>
  unsignedQuantity(table.readUInt32LE(at), table.readUInt32LE(at + 4))
