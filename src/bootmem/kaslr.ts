/**
 * Where the x86 kernel may put itself in physical memory (KASLR), given a command line. Pure.
 *
 * The decompressor runs before the kernel and reads the options with a parser of its own, which is older than
 * `%`: it takes `memmap=SIZE%START…` for `memmap=SIZE`, a limit. So the kernel stays below SIZE, wherever
 * START is, and does not avoid START. Source: handle_mem_options(), mem_avoid_memmap(), parse_memmap() and
 * find_random_phys_addr(), arch/x86/boot/compressed/kaslr.c.
 *
 * Started by UEFI the kernel is not moved by this code. Any `memmap=` then turns physical randomisation off,
 * and the kernel takes the first free place from 16 MiB on (parse_options(), efi_decompress_kernel(),
 * drivers/firmware/efi/libstub/x86-stub.c).
 */
import { E820, kernelWords, type MemoryOption, parseMem, parseMemmap, valueOfWord } from '../linux/memmap.ts'
import { type PhysicalRange, subtractRanges } from '../linux/memory-ranges.ts'

/** MAX_MEMMAP_REGIONS: KASLR has no room for more ranges to avoid. */
const RANGES_MAX = 4

export interface KaslrView {
  /** The whole kernel goes below this address. Infinity: anywhere. */
  readonly limitBytes: number
  /** Ranges that the kernel avoids. */
  readonly avoided: readonly PhysicalRange[]
  /** Without it the kernel stays where its loader put it: `nokaslr`, or too many ranges in one option. */
  readonly movesKernel: boolean
}

/** The limits that KASLR reads from a command line. `words`: see splitCommandLine(). */
export function kaslrView(words: readonly string[]): KaslrView {
  let limitBytes = Number.POSITIVE_INFINITY
  let tooMany = false
  const avoided: PhysicalRange[] = []
  const limit = (bytes: number): void => {
    if (bytes > 0) limitBytes = Math.min(limitBytes, bytes)
  }
  for (const word of kernelWords(words)) {
    const mem = valueOfWord(word, 'mem')
    if (mem !== undefined) {
      const option = parseMem(mem)
      if (option?.kind === 'limit') limit(option.sizeBytes)
      // At a size of 0 KASLR stops reading the command line.
      else if (!mem.startsWith('nopentium')) break
    }
    const parts = valueOfWord(word, 'memmap')?.split(',') ?? []
    // Once the list is full, KASLR ignores further options, their limits included.
    while (parts.length > 0 && avoided.length < RANGES_MAX) {
      const seen = readAsKaslr(parseMemmap(parts.shift() as string))
      if (seen === undefined) break
      // KASLR takes a range that begins at 0 for a limit, whatever its sign.
      if (seen.start === 0) limit(seen.lengthBytes)
      else avoided.push(seen)
      if (avoided.length === RANGES_MAX && parts.length > 0) tooMany = true
    }
  }
  return { limitBytes, avoided, movesKernel: !tooMany && !words.includes('nokaslr') }
}

/**
 * A range to avoid; one that begins at 0 is a limit. Undefined: KASLR does not read the rest of this option.
 */
function readAsKaslr(option: MemoryOption): PhysicalRange | undefined {
  switch (option.kind) {
    case 'exactmap':
      return undefined
    case 'malformed':
      return option.sizeBytes === undefined ? undefined : { start: 0, lengthBytes: option.sizeBytes }
    case 'limit':
      return { start: 0, lengthBytes: option.sizeBytes }
    case 'retype':
      return { start: 0, lengthBytes: option.range.lengthBytes }
    case 'add':
      return option.type === E820.RAM ? { start: 0, lengthBytes: 0 } : option.range
  }
}

/** Whether a kernel booted with these words may put itself into `range`. */
export function kaslrMayLandIn(words: readonly string[], range: PhysicalRange): boolean {
  const { limitBytes, avoided, movesKernel } = kaslrView(words)
  return movesKernel && subtractRanges([range], avoided).some(({ start }) => start < limitBytes)
}
