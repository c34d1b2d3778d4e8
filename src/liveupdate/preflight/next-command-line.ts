/**
 * The next kernel's command line, and whether it still sets aside the memory that holds the guests: in the
 * same place, of the same size and type. Pure.
 */
import {
  carveOutWord,
  KMEM_WORD,
  keepsKmemAway,
  reservedWord,
  wordsAgainstKaslr,
} from '../../bootmem/carve-out.ts'
import { kaslrMayLandIn } from '../../bootmem/kaslr.ts'
import { applyMemoryOptions, type E820Entry, rangesOfType, softReserved } from '../../bootmem/memory-map.ts'
import { E820, formatBytes, memoryOptions, reservedRanges } from '../../linux/memmap.ts'
import { splitCommandLine } from '../../linux/memory-info.ts'
import { covers, overlap, type PhysicalRange } from '../../linux/memory-ranges.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'

export interface CommandLineChoice {
  /** The whole command line; with `reuses`, what is added to the running kernel's. */
  readonly append: string | undefined
  readonly reuses: boolean
}

/** Words that a boot loader added for itself. kexec(8) drops the first one, too. */
const LOADER_WORDS = /(?:^|\s)(?:BOOT_IMAGE|initrd)=\S*/g

/**
 * `current`: the running kernel's, verbatim. Without a choice the next kernel gets the same: with an empty
 * one it would find no root.
 */
export function nextCommandLine(current: string, { append, reuses }: CommandLineChoice): string {
  if (append !== undefined && !reuses) return append.trim()
  // Words after `--` are for init: added ones are for the kernel, so they go before it.
  const [, kernels = '', inits = ''] = /^(.*?)((?:^|\s)--(?:\s.*)?)?$/s.exec(current) ?? []
  const words = [kernels.replace(LOADER_WORDS, ''), append ?? '', inits]
  return words
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .join(' ')
}

export interface CommandLineCheck {
  /** The command lines of the running kernel and of the next one. */
  readonly current: string
  readonly next: string
  /** The map that both kernels begin with, before their options. */
  readonly firmware: readonly E820Entry[]
  /** Regions of device-dax that hold guests or files. */
  readonly regions: readonly PhysicalRange[]
  /** Ranges reserved by `memmap=SIZE$START` that hold guests or files. */
  readonly reserved?: readonly PhysicalRange[]
}

export function checkCommandLine(check: CommandLineCheck): Finding[] {
  const { current, next, firmware, regions, reserved = [] } = check
  const [now, then] = [current, next].map(splitCommandLine) as [string[], string[]]
  const [before, after] = [now, then].map((words) =>
    softReserved(applyMemoryOptions(firmware, memoryOptions(words))),
  ) as [PhysicalRange[], PhysicalRange[]]
  const findings = regions.flatMap((region) => {
    const lost = carveOutProblems(region, before, after)
    // The missing word usually keeps KASLR away as well.
    return lost.length > 0 ? lost : kaslrProblems(region, then)
  })
  findings.push(...reserved.flatMap((range) => reservedProblems(range, then, firmware)))
  if (regions.length > 0 && !keepsKmemAway(then))
    findings.push(
      fail(
        'command line',
        `the next kernel's kmem driver would take the carve-out as ordinary RAM: add ${KMEM_WORD} to its command line`,
      ),
    )
  for (const option of memoryOptions(then))
    if (option.kind === 'malformed')
      findings.push(warn('command line', `the next kernel would reject memmap=${option.text}`))
  if (names(now, 'root=') && !names(then, 'root='))
    findings.push(warn('command line', "the next kernel's command line names no root=, this kernel's does"))
  return findings
}

/** A region must be what it is now, to the byte: larger or smaller, its metadata would not be found. */
function carveOutProblems(
  region: PhysicalRange,
  before: readonly PhysicalRange[],
  after: readonly PhysicalRange[],
): Finding[] {
  const wanted = before.find((range) => covers([range], region)) ?? region
  if (after.some(({ start, lengthBytes }) => start === wanted.start && lengthBytes === wanted.lengthBytes))
    return []
  const found = after.find((range) => overlap(range, region))
  const instead = found === undefined ? 'does not set it aside' : `sets aside ${describe(found)} instead`
  return [
    fail(
      'command line',
      `the carve-out of ${describe(wanted)} holds the guests, and the next kernel's command line ${instead}: give it ${carveOutWord(wanted)}, or use --reuse-cmdline`,
    ),
  ]
}

/**
 * The next kernel's guestmemfs finds the pool by its word, and no other option may give the kernel a part of
 * the range.
 */
function reservedProblems(
  range: PhysicalRange,
  words: readonly string[],
  firmware: readonly E820Entry[],
): Finding[] {
  const map = applyMemoryOptions(firmware, memoryOptions(words))
  const isAsked = reservedRanges(words).some(
    ({ start, lengthBytes }) => start === range.start && lengthBytes === range.lengthBytes,
  )
  if (isAsked && covers(rangesOfType(map, E820.RESERVED), range)) return kaslrProblems(range, words)
  return [
    fail(
      'command line',
      `the reserved range of ${describe(range)} holds the guests, and the next kernel's command line does not reserve it: give it ${reservedWord(range)}, or use --reuse-cmdline`,
    ),
  ]
}

function kaslrProblems(region: PhysicalRange, words: readonly string[]): Finding[] {
  if (!kaslrMayLandIn(words, region)) return []
  const choice = [...new Set([...wordsAgainstKaslr(words), 'nokaslr'])].join(', or ')
  return [
    fail(
      'command line',
      `the next kernel may put itself into the carve-out at ${formatBytes(region.start)} (KASLR): add ${choice}, to its command line`,
    ),
  ]
}

const describe = ({ start, lengthBytes }: PhysicalRange): string =>
  `${formatBytes(lengthBytes)} at ${formatBytes(start)}`

const names = (words: readonly string[], prefix: string): boolean =>
  words.some((word) => word.startsWith(prefix))
