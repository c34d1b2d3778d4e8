/**
 * The plan of one carve-out or of several: where, which words the next kernel gets, what the host keeps, what
 * the operator should know. Pure; changes nothing and prints nothing. The plan is checked by the kernel's own
 * rules before it is returned.
 */
import { E820, formatBytes, kernelWords, memoryOptions, reservedRanges } from '../linux/memmap.ts'
import { splitCommandLine } from '../linux/memory-info.ts'
import { nodeIdsOf } from '../linux/memory-nodes.ts'
import { covers, overlap, type PhysicalRange, totalBytes } from '../linux/memory-ranges.ts'
import { BrokenInvariantError, UsageError } from '../values/errors.ts'
import type { CarveOutType } from '../values/store-kinds.ts'
import { GIB, MIB, PMD_BYTES } from '../values/units.ts'
import {
  carveOuts,
  carveOutWord,
  KMEM_WORD,
  keepsKmemAway,
  reservedWord,
  withoutCarveOuts,
  wordsAgainstKaslr,
} from './carve-out.ts'
import { kaslrMayLandIn, kaslrView } from './kaslr.ts'
import type { MachineMemory } from './machine-memory.ts'
import { applyMemoryOptions, type E820Entry, rangesOfType, softReserved } from './memory-map.ts'
import {
  checkSizes,
  choosePlace,
  hostShare,
  inGibibytes,
  nodeShares,
  type PlaceRequest,
  type Room,
} from './reserve-place.ts'

export interface ReserveRequest {
  /** One for each carve-out. */
  readonly places: readonly PlaceRequest[]
  readonly type: CarveOutType
  /** Plan as if the command line had no carve-out yet. */
  readonly replace: boolean
}

export interface PlannedRange {
  readonly range: PhysicalRange
  /** The alignment of its addresses, and so the largest pages that can map it. */
  readonly alignBytes: number
  /** Memory nodes it lies in; empty where none are known. */
  readonly nodes: readonly number[]
}

export interface ReservePlan {
  /** In the order of the request. */
  readonly ranges: readonly PlannedRange[]
  /** With these the next kernel has several, and a mount must name its own. */
  readonly hasOthers: boolean
  readonly ramBytes: number
  readonly hostKeepsBytes: number
  /** What of it is in each memory node; empty where none are known. */
  readonly nodesKeep: readonly { readonly node: number; readonly keepsBytes: number }[]
  /** Words that the next kernel must get, and the running one did not. */
  readonly addWords: readonly string[]
  /** Words that the running kernel got, and the next one must not. */
  readonly dropWords: readonly string[]
  /** The next kernel's whole command line, without what its loader adds. */
  readonly commandLine: string
  /** Whether a kexec from the running kernel is a safe way to the next one. */
  readonly kexec: boolean
  readonly notes: readonly string[]
}

/**
 * COMMAND_LINE_SIZE, arch/x86/include/asm/setup.h, without the NUL at its end: the kernel cuts a longer line
 * off without a message.
 */
const COMMAND_LINE_MAX = 2047

/** `commandLine`: /proc/cmdline. Errors: UsageError. */
export function planReserve(
  memory: MachineMemory,
  commandLine: string,
  request: ReserveRequest,
): ReservePlan {
  const given = splitRaw(commandLine)
  const base = given.flatMap((word) => keptWord(word, request.replace) ?? [])
  const words = kernelWords(unquote(base))
  const { type, places } = request
  const room = roomOf(memory, words, type)
  const sizes = places.map(({ sizeBytes }) => sizeBytes)
  checkSizes(room, sizes, type)
  const ranges: PhysicalRange[] = []
  for (const place of places)
    ranges.push(choosePlace(roomOf(memory, [...words, ...ranges.map(WORD_OF[type])], type), place))
  const changed = base.filter((word) => !given.includes(word))
  const added = ranges.map(WORD_OF[type])
  const needs = wordsAgainstKaslr([...words, ...added])
  added.push(...needs, ...(type === 'reserved' || keepsKmemAway(words) ? [] : [KMEM_WORD]))
  const next = insert(base, added)
  checkPlan(memory.firmware, unquote(next), ranges, type)
  const line = next.join(' ')
  if (line.length > COMMAND_LINE_MAX)
    throw new UsageError(
      `the kernel's command line would have ${line.length} characters: it is cut after ${COMMAND_LINE_MAX}`,
    )
  const dropWords = given.filter((word) => keptWord(word, request.replace) !== word && !isLoaders(word))
  const sizeBytes = totalBytes(ranges)
  const planned = ranges.map((range) => ({
    range,
    alignBytes: [GIB, PMD_BYTES].find((align) => range.start % align === 0) as number,
    nodes: nodeIdsOf(memory.nodes, range),
  }))
  return {
    ranges: planned,
    hasOthers: carveOutsOf(unquote(next), type).length > 1,
    ramBytes: totalBytes(room.ram),
    hostKeepsBytes: hostShare(room, { sizeBytes, type }).keeps,
    nodesKeep: nodeShares(room, ranges),
    addWords: [...changed, ...added],
    dropWords,
    commandLine: line,
    kexec: pullsKernelDown(unquote(next)),
    notes: [
      ...kaslrNotes(needs),
      ...planned.flatMap((each) => [...notes(room, each, { type, isOnly: planned.length === 1 })]),
      ...emptyNodes(room, ranges),
      ...lost(dropWords),
    ],
  }
}

const WORD_OF: Readonly<Record<CarveOutType, (range: PhysicalRange) => string>> = {
  'soft-reserved': carveOutWord,
  reserved: reservedWord,
}

/** All that a pool of this type could be in. */
const carveOutsOf = (words: readonly string[], type: CarveOutType): readonly PhysicalRange[] =>
  type === 'soft-reserved' ? carveOuts(words) : reservedRanges(words)

/**
 * Words that the boot loader adds by itself: GRUB the kernel's path, systemd-boot and the EFI stub the
 * initrd's.
 */
const isLoaders = (word: string): boolean => /^(BOOT_IMAGE|initrd)=/.test(word)

function keptWord(word: string, replace: boolean): string | undefined {
  if (isLoaders(word)) return undefined
  return replace ? withoutCarveOuts(word) : word
}

/** Words with their quotes: they are written again as they were. */
const splitRaw = (commandLine: string): string[] => commandLine.match(/(?:"[^"]*"?|[^\s"])+/g) ?? []
const unquote = (words: readonly string[]): string[] => splitCommandLine(words.join(' '))

/** Before `--`: the kernel passes what stands behind it to init. */
function insert(base: readonly string[], added: readonly string[]): string[] {
  const end = base.indexOf('--')
  return end < 0 ? [...base, ...added] : base.toSpliced(end, 0, ...added)
}

function roomOf(memory: MachineMemory, words: readonly string[], type: CarveOutType): Room {
  const map = applyMemoryOptions(memory.firmware, memoryOptions(words))
  const fixedCrash = words.some((word) => word.startsWith('crashkernel=') && word.includes('@'))
  const crash = memory.occupants.filter(({ what }) => fixedCrash && what === 'crash kernel')
  return {
    ram: rangesOfType(map, E820.RAM),
    taken: [
      ...softReserved(map).map((range) => ({
        range,
        why: 'a carve-out that is there already; --replace plans without it',
      })),
      ...reservedRanges(words).map((range) => ({ range, why: 'a range that memmap= reserves already' })),
      ...crash.map(({ range }) => ({ range, why: 'the crash kernel, which crashkernel=…@… puts there' })),
    ],
    nodes: memory.nodes,
    occupants: memory.occupants,
    isSafeFromKaslr: (range) => !kaslrMayLandIn([...words, WORD_OF[type](range)], range),
  }
}

/**
 * The kernel's own rules, applied to the whole line: each carve-out is there as planned, and the kernel is in
 * none.
 */
function checkPlan(
  firmware: readonly E820Entry[],
  words: readonly string[],
  ranges: readonly PhysicalRange[],
  type: CarveOutType,
): void {
  const map = applyMemoryOptions(firmware, memoryOptions(words))
  const [soft, reserved] = [softReserved(map), rangesOfType(map, E820.RESERVED)]
  const isThere = (range: PhysicalRange): boolean =>
    type === 'reserved'
      ? covers(reserved, range)
      : soft.some(({ start, lengthBytes }) => start === range.start && lengthBytes === range.lengthBytes)
  const all = [...carveOuts(words), ...(type === 'reserved' ? ranges : [])]
  if (ranges.every(isThere) && !all.some((each) => kaslrMayLandIn(words, each))) return
  const places = ranges.map(({ start }) => formatBytes(start)).join(' and ')
  throw new BrokenInvariantError(`the plan for ${places} does not hold: ${words.join(' ')}`)
}

/** Kernel and decompressor, with room to spare. */
const KERNEL_BYTES = 128 * MIB
/** From where on KASLR looks for a place after a kexec: min_addr in choose_random_location(). */
const KASLR_MIN_BYTES = 512 * MIB

/**
 * kexec loads the kernel at the top of the running kernel's RAM (bzImage64_load(), top_down), which may be
 * the carve-out to be. Only KASLR moves it away from there, and only where it finds room below its limit.
 */
function pullsKernelDown(words: readonly string[]): boolean {
  const { movesKernel, limitBytes } = kaslrView(words)
  return movesKernel && limitBytes >= KASLR_MIN_BYTES + KERNEL_BYTES
}

const lowBytes = ({ ram }: Room): number => totalBytes(ram.filter(({ start }) => start < 4 * GIB))

const lost = (dropWords: readonly string[]): string[] =>
  dropWords.length === 0 ? [] : ['what is in the carve-outs that are removed is lost: end their guests first']

function kaslrNotes([word]: readonly string[]): string[] {
  if (word === undefined) return []
  return word === 'nokaslr'
    ? ['nokaslr: four ranges of memmap= are all that KASLR keeps, so it would not stay out of this one']
    : [
        `${word} changes no memory: KASLR, which takes it for a limit, then keeps the kernel below the carve-out`,
      ]
}

/** A node without RAM is none to mbind(2), which refuses `host-nodes` of QEMU's then. */
function emptyNodes(room: Room, ranges: readonly PhysicalRange[]): string[] {
  const before = nodeShares(room, [])
  return nodeShares(room, ranges).flatMap(({ node, keepsBytes }, index) =>
    keepsBytes === 0 && (before[index]?.keepsBytes ?? 0) > 0
      ? [`memory node ${node} keeps no RAM: what its processors run uses that of other nodes`]
      : [],
  )
}

function* notes(
  room: Room,
  { range, nodes }: PlannedRange,
  { type, isOnly }: { readonly type: CarveOutType; readonly isOnly: boolean },
): Generator<string> {
  const it = isOnly ? 'it' : `the one at ${formatBytes(range.start)}`
  if (type === 'reserved')
    yield `${isOnly ? '' : `${it} is `}hidden: no struct pages, not in the kernel's direct map; mapped in pages of 4K (docs/guide/stores.md)`
  else if (range.start % GIB !== 0) yield `${it} does not begin at a multiple of 1G: 2M pages, no 1G pages`
  if (nodes.length > 1)
    yield `${it} lies in memory nodes ${nodes.join(', ')}, and is treated as node ${nodes[0]} throughout: --numa keeps it in one`
  for (const { what, range: other } of room.occupants)
    if (overlap(range, other))
      yield `the running ${what} lies in ${it} now, at ${formatBytes(other.start)}: the next boot puts it elsewhere`
  if (range.start < 4 * GIB)
    yield `${it} lies below 4G, where 32-bit devices need memory: ${inGibibytes(lowBytes(room) - range.lengthBytes)} remain there`
}
