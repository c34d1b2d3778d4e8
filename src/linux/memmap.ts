/**
 * The `memmap=` and `mem=` options of a kernel command line, as the x86 kernel reads them, and written for
 * it. Pure. Their effect on KASLR, and what a carve-out needs, is in bootmem/. Source: parse_memopt() and
 * parse_memmap_one(), arch/x86/kernel/e820.c; memparse(), lib/cmdline.c.
 */

import { unsignedQuantity } from '../values/narrow.ts'
import { formatSize } from '../values/size.ts'
import type { PhysicalRange } from './memory-ranges.ts'

/** Types of the firmware's memory map (enum e820_type, arch/x86/include/asm/e820/types.h). */
export const E820 = { RAM: 1, RESERVED: 2, ACPI: 3, PERSISTENT: 12, SOFT_RESERVED: 0xefff_ffff } as const

/** What one option does to the memory map. Sizes and addresses in bytes; beyond 2^53 they saturate. */
export type MemoryOption =
  /** `mem=SIZE` and `memmap=SIZE`: RAM from SIZE on is not used. */
  | { readonly kind: 'limit'; readonly sizeBytes: number }
  /**
   * `SIZE@START` (RAM), `SIZE#START` (ACPI tables), `SIZE$START` (reserved), `SIZE!START` (persistent
   * memory).
   */
  | { readonly kind: 'add'; readonly range: PhysicalRange; readonly type: number }
  /**
   * `SIZE%START-FROM+TO`: memory of type FROM becomes TO; 0 where a part is not given (any type; removed).
   */
  | {
      readonly kind: 'retype'
      readonly range: PhysicalRange
      readonly from: number
      readonly to: number
    }
  /** `exactmap`: the firmware's map is not used. */
  | { readonly kind: 'exactmap' }
  /** The kernel prints "Malformed early option" and ignores it. `sizeBytes`: what could be read of it. */
  | { readonly kind: 'malformed'; readonly text: string; readonly sizeBytes: number | undefined }

const ADDS: Readonly<Record<string, number>> = {
  '@': E820.RAM,
  '#': E820.ACPI,
  $: E820.RESERVED,
  '!': E820.PERSISTENT,
}

/**
 * All `mem=` and `memmap=` options, in the order in which the kernel applies them. `words`: see
 * splitCommandLine().
 */
export function memoryOptions(words: readonly string[]): MemoryOption[] {
  return kernelWords(words).flatMap((word) => {
    const mem = valueOfWord(word, 'mem')
    if (mem !== undefined) return parseMem(mem) ?? []
    return valueOfWord(word, 'memmap')?.split(',').map(parseMemmap) ?? []
  })
}

/** The ranges that these words make reserved (`SIZE$START`), in their order. */
export function reservedRanges(words: readonly string[]): PhysicalRange[] {
  return memoryOptions(words).flatMap((option) =>
    option.kind === 'add' && option.type === E820.RESERVED && option.range.lengthBytes > 0
      ? [option.range]
      : [],
  )
}

/** The words that are the kernel's: those before `--`, which ends them (parse_args(), kernel/params.c). */
export function kernelWords(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--')
  return end < 0 ? words : words.slice(0, end)
}

/** What stands behind `NAME=`; undefined when the word is another option. */
export function valueOfWord(word: string, name: string): string | undefined {
  return word.startsWith(`${name}=`) ? word.slice(name.length + 1) : undefined
}

/** The value of `mem=`; undefined: the kernel ignores it (`nopentium`, 0, no number). */
export function parseMem(value: string): MemoryOption | undefined {
  const size = memparse(value)
  return size === undefined || size.value === 0 ? undefined : { kind: 'limit', sizeBytes: size.value }
}

/**
 * One of the comma-separated parts of `memmap=`'s value. Text behind a part that can be read is ignored, as
 * by the kernel.
 */
export function parseMemmap(text: string): MemoryOption {
  if (text.startsWith('exactmap')) return { kind: 'exactmap' }
  const size = memparse(text)
  if (size === undefined) return { kind: 'malformed', text, sizeBytes: undefined }
  const sign = size.rest.charAt(0)
  const start = memparse(size.rest.slice(1))
  const range = { start: start?.value ?? 0, lengthBytes: size.value }
  const type = ADDS[sign]
  if (type !== undefined) return { kind: 'add', range, type }
  if (sign !== '%') return { kind: 'limit', sizeBytes: size.value }
  const types = readTypes(start?.rest ?? size.rest.slice(1))
  return types ? { kind: 'retype', range, ...types } : { kind: 'malformed', text, sizeBytes: size.value }
}

/** As it stands behind `memmap=`. Sizes and addresses as `10G`, `0x12345000`. */
export function formatMemmap(option: MemoryOption): string {
  switch (option.kind) {
    case 'exactmap':
      return 'exactmap'
    case 'malformed':
      return option.text
    case 'limit':
      return formatBytes(option.sizeBytes)
    case 'add': {
      const sign = Object.keys(ADDS).find((each) => ADDS[each] === option.type)
      return `${formatBytes(option.range.lengthBytes)}${sign}${formatBytes(option.range.start)}`
    }
    case 'retype': {
      const { range, from, to } = option
      const types = `${from === 0 ? '' : `-${formatType(from)}`}${to === 0 ? '' : `+${formatType(to)}`}`
      return `${formatBytes(range.lengthBytes)}%${formatBytes(range.start)}${types}`
    }
  }
}

const UNITS: readonly string[] = ['E', 'P', 'T', 'G', 'M', 'K']

/**
 * A size or an address with the largest unit from M on that divides it, else in hexadecimal: what memparse()
 * reads.
 */
export function formatBytes(bytes: number): string {
  for (const [index, unit] of UNITS.slice(0, -1).entries()) {
    const factor = 1024 ** (UNITS.length - index)
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`
  }
  return bytes === 0 ? '0' : `0x${bytes.toString(16)}`
}

/** For messages: how much, and where. */
export const formatRange = ({ start, lengthBytes }: PhysicalRange): string =>
  `${formatSize(lengthBytes)} at ${formatBytes(start)}`

const formatType = (type: number): string => (type < 0x1_0000 ? String(type) : `0x${type.toString(16)}`)

/**
 * simple_strtoull() with base 0: 0x… is hexadecimal, 0… octal. The kernel's u64 wraps; no real value is that
 * large.
 */
const NUMBER = /^(?:0x([0-9a-f]+)|(0[0-7]*)|([1-9]\d*))/i

interface Parsed {
  readonly value: number
  readonly rest: string
}

function readNumber(text: string): { readonly value: bigint; readonly rest: string } | undefined {
  const match = NUMBER.exec(text)
  if (match === null) return undefined
  const [all, hexadecimal, octal] = match
  const value = BigInt(hexadecimal !== undefined ? all : octal !== undefined ? `0o${octal}` : all)
  return { value, rest: text.slice(all.length) }
}

/** A number and its unit; undefined: there is no number, where the kernel reads a 0 and no text. */
function memparse(text: string): Parsed | undefined {
  const number = readNumber(text)
  if (number === undefined) return undefined
  const unit = UNITS.indexOf(number.rest.charAt(0).toUpperCase())
  const shift = unit < 0 ? 0 : 10 * (UNITS.length - unit)
  const value = BigInt.asUintN(64, number.value << BigInt(shift))
  return { value: narrow(value), rest: number.rest.slice(unit < 0 ? 0 : 1) }
}

/** `[-FROM][+TO]` and nothing behind it. */
function readTypes(text: string): { readonly from: number; readonly to: number } | undefined {
  let rest = text
  const read = (sign: string): number => {
    if (!rest.startsWith(sign)) return 0
    const number = readNumber(rest.slice(1))
    rest = number?.rest ?? rest.slice(1)
    return narrow(BigInt.asUintN(32, number?.value ?? 0n))
  }
  const types = { from: read('-'), to: read('+') }
  return rest === '' ? types : undefined
}

const narrow = (value: bigint): number => unsignedQuantity(Number(value & 0xffff_ffffn), Number(value >> 32n))
