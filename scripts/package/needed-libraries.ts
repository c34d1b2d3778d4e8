/**
 * The names of the shared libraries that an ELF file loads, from its dynamic section (elf(5)). For 64-bit
 * files in the byte order of x86 alone.
 */

const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT_NEEDED = 1n
const DT_STRTAB = 5n
const ENTRY_BYTES = 16

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: bigint
  readonly fileBytes: number
}

/** None: it is linked statically, or no ELF file. */
export function neededLibraries(file: Buffer): string[] {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46) return []
  const segments = readSegments(file)
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
  if (dynamic === undefined) return []
  const entries: { tag: bigint; value: bigint }[] = []
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.fileBytes; at += ENTRY_BYTES)
    entries.push({ tag: file.readBigUInt64LE(at), value: file.readBigUInt64LE(at + 8) })
  const table = entries.find(({ tag }) => tag === DT_STRTAB)
  if (table === undefined) return []
  const names = offsetOf(segments, table.value)
  return entries
    .filter(({ tag }) => tag === DT_NEEDED)
    .map(({ value }) => textAt(file, names + Number(value)))
}

function readSegments(file: Buffer): Segment[] {
  const [start, size, count] = [
    Number(file.readBigUInt64LE(32)),
    file.readUInt16LE(54),
    file.readUInt16LE(56),
  ]
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * size
    return {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: file.readBigUInt64LE(at + 16),
      fileBytes: Number(file.readBigUInt64LE(at + 32)),
    }
  })
}

/** Where in the file the byte is that is mapped at `address`. */
function offsetOf(segments: readonly Segment[], address: bigint): number {
  const segment = segments.find(
    (each) =>
      each.type === PT_LOAD && each.address <= address && address < each.address + BigInt(each.fileBytes),
  )
  if (segment === undefined) throw new Error('an ELF file whose names are in none of its segments')
  return segment.offset + Number(address - segment.address)
}

const textAt = (file: Buffer, at: number): string => file.toString('latin1', at, file.indexOf(0, at))
