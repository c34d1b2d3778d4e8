/** An SRAT as a firmware makes it, for tests. */

interface SratEntry {
  readonly domain: number
  /** It is there and not enabled. */
  readonly isOff?: boolean
}

export interface SratOptions {
  /** `type`: 0 a processor by its APIC id, 2 by its x2APIC id, 5 another initiator. */
  readonly initiators?: readonly (SratEntry & { readonly type: 0 | 2 | 5 })[]
  readonly memory: readonly (SratEntry & { readonly start: number; readonly lengthBytes: number })[]
  readonly revision?: number
}

/** Length of the entry, and where its domain and its flags are. */
const PLACES = { 0: [16, 2, 4], 2: [24, 4, 12], 5: [32, 4, 24] } as const

export function sratTable({ initiators = [], memory, revision = 3 }: SratOptions): Buffer {
  const header = Buffer.alloc(48)
  header.write('SRAT', 0, 'latin1')
  header.writeUInt8(revision, 8)
  const entries = initiators.map(({ type, domain, isOff }) => {
    const [lengthBytes, domainAt, flagsAt] = PLACES[type]
    const entry = Buffer.alloc(lengthBytes)
    entry.writeUInt8(type, 0)
    entry.writeUInt8(lengthBytes, 1)
    if (type === 0) {
      entry.writeUInt8(domain & 0xff, domainAt)
      entry.writeUIntLE(domain >>> 8, 9, 3)
    } else entry.writeUInt32LE(domain, domainAt)
    entry.writeUInt32LE(isOff ? 0 : 1, flagsAt)
    return entry
  })
  const ranges = memory.map(({ domain, start, lengthBytes, isOff }) => {
    const entry = Buffer.alloc(40)
    entry.writeUInt8(1, 0)
    entry.writeUInt8(40, 1)
    entry.writeUInt32LE(domain, 2)
    entry.writeBigUInt64LE(BigInt(start), 8)
    entry.writeBigUInt64LE(BigInt(lengthBytes), 16)
    entry.writeUInt32LE(isOff ? 0 : 1, 28)
    return entry
  })
  const table = Buffer.concat([header, ...entries, ...ranges])
  table.writeUInt32LE(table.length, 4)
  return table
}
