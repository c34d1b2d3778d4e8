/**
 * What a carve-out needs of a kernel command line: RAM made soft-reserved, a kernel that does not put itself
 * into it, and no driver that claims it as ordinary RAM. Pure; for the running kernel's command line and the
 * next one's alike.
 */
import {
  E820,
  formatMemmap,
  type MemoryOption,
  memoryOptions,
  parseMemmap,
  reservedRanges,
  valueOfWord,
} from '../linux/memmap.ts'
import type { PhysicalRange } from '../linux/memory-ranges.ts'
import { PMD_BYTES, SMALLEST_REGION_BYTES } from '../values/units.ts'
import { kaslrMayLandIn } from './kaslr.ts'

const isCarveOut = (option: MemoryOption): option is MemoryOption & { kind: 'retype' } =>
  option.kind === 'retype' && option.to === E820.SOFT_RESERVED && option.range.lengthBytes > 0

/**
 * The ranges that these words make soft-reserved, in their order. Ranges that touch stay apart:
 * e820_nomerge(), arch/x86/kernel/e820.c.
 */
export function carveOuts(words: readonly string[]): PhysicalRange[] {
  return memoryOptions(words).flatMap((option) => (isCarveOut(option) ? [option.range] : []))
}

/**
 * The word that makes ordinary RAM soft-reserved: `memmap=10G%16G-1+0xefffffff`. Anything in it that is no
 * RAM stays as it is.
 */
export function carveOutWord(range: PhysicalRange): string {
  const option: MemoryOption = { kind: 'retype', range, from: E820.RAM, to: E820.SOFT_RESERVED }
  return `memmap=${formatMemmap(option)}`
}

/**
 * The word that makes any memory reserved: `memmap=10G$16G`. Without struct pages, and not in the direct map.
 */
export function reservedWord(range: PhysicalRange): string {
  return `memmap=${formatMemmap({ kind: 'add', range, type: E820.RESERVED })}`
}

/** No firmware and no kernel uses this type. */
const NO_TYPE = 0xefff_fffe

/**
 * The word that keeps a randomised kernel below `limitBytes` and does nothing else:
 * `memmap=4G%0-0xeffffffe+1`. It turns memory of a type that does not exist into RAM, so no memory changes;
 * KASLR reads `memmap=4G` (see kaslr.ts). The kernel's virtual address stays random, which `nokaslr` would
 * end as well.
 */
export function ceilingWord(limitBytes: number): string {
  const range = { start: 0, lengthBytes: limitBytes }
  return `memmap=${formatMemmap({ kind: 'retype', range, from: NO_TYPE, to: E820.RAM })}`
}

/**
 * The words that keep KASLR out of every carve-out of `words`; none where it stays out by itself. One ceiling
 * is enough for several: below the lowest of those that are exposed.
 */
export function wordsAgainstKaslr(words: readonly string[]): string[] {
  const ranges = [...carveOuts(words), ...reservedRanges(words)]
  const exposed = (...more: readonly string[]): PhysicalRange[] =>
    ranges.filter((range) => kaslrMayLandIn([...words, ...more], range))
  const now = exposed()
  if (now.length === 0) return []
  const ceiling = ceilingWord(Math.min(...now.map(({ start }) => start)))
  // KASLR has no room for a fifth range, and then reads no ceiling either.
  return exposed(ceiling).length > 0 ? ['nokaslr'] : [ceiling]
}

/**
 * Whether it can hold a pool: smaller or unaligned ranges are reserved for other reasons, as for RAM that is
 * broken.
 */
const isReservedForPool = (option: MemoryOption): boolean =>
  option.kind === 'add' &&
  option.type === E820.RESERVED &&
  option.range.lengthBytes >= SMALLEST_REGION_BYTES &&
  option.range.start % PMD_BYTES === 0

/** The word without carve-outs of either kind and ceilings; undefined: nothing is left of it. */
export function withoutCarveOuts(word: string): string | undefined {
  const parts = valueOfWord(word, 'memmap')?.split(',')
  if (parts === undefined) return word
  const kept = parts.filter((part) => {
    const option = parseMemmap(part)
    return (
      !isCarveOut(option) &&
      !isReservedForPool(option) &&
      !(option.kind === 'retype' && option.from === NO_TYPE)
    )
  })
  if (kept.length === parts.length) return word
  return kept.length === 0 ? undefined : `memmap=${kept.join(',')}`
}

/** For messages, and for what `reserve` prints. */
export const KMEM_WORD = 'modprobe.blacklist=kmem'

/**
 * Whether these words keep `kmem` from claiming the memory as ordinary RAM: modprobe reads
 * `modprobe.blacklist=` (modprobe(8)), the kernel itself `module_blacklist=` (kernel/module/main.c).
 */
export function keepsKmemAway(words: readonly string[]): boolean {
  return words.some((word) => {
    const names = valueOfWord(word, 'modprobe.blacklist') ?? valueOfWord(word, 'module_blacklist')
    return names?.split(',').includes('kmem')
  })
}
