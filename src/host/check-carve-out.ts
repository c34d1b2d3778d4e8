/**
 * The doctor's findings about carve-outs: what the command line asks for, what the kernel made of it, and
 * whether the next kernel would do the same. Must not: change anything but by a fix that the operator agrees
 * to. The rules are those of `reserve`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { carveOuts, KMEM_WORD, keepsKmemAway, wordsAgainstKaslr } from '../bootmem/carve-out.ts'
import { kaslrMayLandIn } from '../bootmem/kaslr.ts'
import { type DaxRegion, rangeOfRegion, readDaxRegions } from '../linux/dax.ts'
import { type Holder, unreadableProcess } from '../linux/holders.ts'
import { type IomemLine, parseIomem } from '../linux/iomem.ts'
import { kernelLockdown } from '../linux/lockdown.ts'
import { formatRange, reservedRanges } from '../linux/memmap.ts'
import { MEMORY_PATH } from '../linux/memory-device.ts'
import { kernelCommandLine } from '../linux/memory-info.ts'
import { type MemoryNode, nodeIdsOf, readMemoryNodes } from '../linux/memory-nodes.ts'
import { covers, overlap, type PhysicalRange } from '../linux/memory-ranges.ts'
import { SystemCallError, UsageError } from '../values/errors.ts'
import { type Finding, fail, ok, warn } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'
import { PMD_BYTES, SMALLEST_REGION_BYTES } from '../values/units.ts'
import { type Fix, type FixableFinding, fixable } from './fix.ts'
import { type NumberedPool, numberedPools } from './next-boot.ts'

const NAME = 'carve-out'
const MODULES = ['device_dax', 'dax_hmem']

/** What the findings are made from. */
export interface CarveOutView {
  /** The running kernel's command line. */
  readonly words: readonly string[]
  readonly regions: readonly DaxRegion[]
  /** The driver `device_dax` is loaded or built in. */
  readonly hasDriver: boolean
  /** /proc/iomem; empty where the kernel hides it from this process. */
  readonly iomem: readonly IomemLine[]
  /** Whether there is a /dev/mem, and what keeps it closed: see kernelLockdown(). */
  readonly hasMemoryDevice: boolean
  readonly lockdown: string | undefined
  /** A process that does not show root what it maps. */
  readonly unreadable: Holder | undefined
  /** Of this machine; empty where they are not known. */
  readonly nodes: readonly MemoryNode[]
  /** As of `NextBoot`. */
  readonly numbered: readonly NumberedPool[]
}

/** One finding where there is no carve-out; else one for each, and for each rule that they share. */
export function checkCarveOuts(): FixableFinding[] {
  const words = kernelCommandLine()
  try {
    const hasDriver = existsSync('/sys/bus/dax/drivers/device_dax')
    return carveOutFindings({
      words,
      regions: readDaxRegions(),
      hasDriver,
      iomem: parseIomem(readFileSync('/proc/iomem', 'latin1')),
      hasMemoryDevice: existsSync(MEMORY_PATH),
      lockdown: kernelLockdown(),
      unreadable: process.getuid?.() === 0 ? unreadableProcess() : undefined,
      nodes: readMemoryNodes(),
      numbered: numberedPools(),
    })
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error
    return [warn(NAME, `not looked at: ${error.message}`, 'run it as root to check this')]
  }
}

export function carveOutFindings(view: CarveOutView): FixableFinding[] {
  const { words, regions, nodes } = view
  const reserved = reservedRanges(words).filter(isForPool)
  const asked = carveOuts(words)
  const made = regions.filter(({ isCarveOut }) => isCarveOut)
  const unasked = made.filter((region) => !asked.some((range) => touches(region, range)))
  if (asked.length + made.length + reserved.length === 0)
    return [ok(NAME, 'none; `guestmemfs reserve --size 10G` says how to set RAM aside')]
  return [
    ...asked.map((range) => checkRange(range, made, view, asked.length > 1)),
    ...unasked.map((region) => ok(`${NAME} ${region.id}`, `${describe(region)}, offered by the firmware`)),
    ...(asked.length + made.length > 0 ? [checkKmem(words, made)] : []),
    ...reserved.map((range) => checkReserved(range, view)),
    checkKaslr(words, [...asked, ...reserved]),
    ...checkNodes([...asked, ...reserved], nodes),
    ...checkNumbers(view, made),
    checkHolders(view),
  ]
}

/** A carve-out in several nodes: its pool gives a guest memory of any of them. */
function checkNodes(ranges: readonly PhysicalRange[], nodes: readonly MemoryNode[]): Finding[] {
  return ranges.flatMap((range) => {
    const ids = nodeIdsOf(nodes, range)
    if (ids.length < 2) return []
    return warn(
      `${NAME} nodes of ${formatRange(range)}`,
      `it lies in memory nodes ${ids.join(', ')}`,
      '`guestmemfs reserve --replace --numa` plans a range in each',
    )
  })
}

/** Names by number are right as long as there is one region. */
function checkNumbers({ numbered }: CarveOutView, made: readonly DaxRegion[]): Finding[] {
  if (made.length < 2) return []
  return numbered.map(({ pool, region }) => {
    const start = made.find(({ id }) => region.replace(/\.0$/, '') === `dax${id}`)?.startByte
    return warn(
      `${NAME} of pool ${pool}`,
      `/etc/fstab names it region=${region}: the next kernel may give that number to another one`,
      `write ${start === undefined ? 'its first byte' : `region=0x${start.toString(16)}`}`,
    )
  })
}

/**
 * The server gives memory of a deleted file to another one only when no process maps it, and one that it may
 * not read could.
 */
function checkHolders({ unreadable }: CarveOutView): Finding {
  const name = `${NAME} processes`
  if (unreadable === undefined) return ok(name, 'all show root what they map')
  return warn(
    name,
    `${unreadable.program} (process ${unreadable.pid}) does not show root what it maps: memory of deleted files is not used again while it runs`,
    'end it, or let its security profile allow root to trace it',
  )
}

/** Where the region's devices do not show its start, the ranges of their memory. */
function rangesOf(region: DaxRegion): readonly PhysicalRange[] {
  const range = rangeOfRegion(region)
  return range === undefined ? region.devices.flatMap(({ mappings }) => mappings) : [range]
}

const touches = (region: DaxRegion, range: PhysicalRange): boolean =>
  rangesOf(region).some((each) => overlap(each, range))

const isWhole = (region: DaxRegion, range: PhysicalRange): boolean =>
  region.sizeBytes === range.lengthBytes && rangesOf(region).every((each) => covers([range], each))

const describe = ({ id, sizeBytes, alignBytes, targetNode }: DaxRegion): string =>
  `dax${id}: ${formatSize(sizeBytes)} in pages of ${formatSize(alignBytes)}${targetNode < 0 ? '' : `, memory node ${targetNode}`}`

function checkRange(
  range: PhysicalRange,
  made: readonly DaxRegion[],
  { hasDriver }: CarveOutView,
  hasOthers: boolean,
): FixableFinding {
  const name = `${NAME} ${formatRange(range)}`
  const there = made.filter((region) => touches(region, range))
  const [region] = there
  const again = hasOthers
    ? 'leave out its memmap=, reboot, and plan it anew beside the others: `guestmemfs reserve`'
    : `\`guestmemfs reserve --replace --size ${formatSize(range.lengthBytes)}\` plans one that holds`
  if (region === undefined && !hasDriver)
    return fixable(
      fail(name, 'no driver offers it', `load the modules: modprobe -a ${MODULES.join(' ')}`),
      LOAD,
    )
  if (region === undefined)
    return fixable(
      fail(name, 'asked for, but not there: the range is no RAM, or dax_hmem is not loaded', again),
      LOAD,
    )
  if (there.length > 1 || !isWhole(region, range)) {
    const parts = there.flatMap(rangesOf).map(formatRange).join(' and ')
    return fail(name, `not whole: only ${parts}; a kernel or the firmware is in the rest`, again)
  }
  return ok(name, describe(region))
}

/**
 * Whether a range that `memmap=SIZE$START` reserves can hold a pool: smaller ones are reserved for other
 * reasons.
 */
const isForPool = ({ start, lengthBytes }: PhysicalRange): boolean =>
  lengthBytes >= SMALLEST_REGION_BYTES && start % PMD_BYTES === 0

function checkReserved(range: PhysicalRange, view: CarveOutView): Finding {
  const { iomem, hasMemoryDevice, lockdown, nodes } = view
  const name = `reserved ${formatRange(range)}`
  const used = iomem.find(
    (line) => line.depth === 0 && line.name === 'System RAM' && overlap(line.range, range),
  )
  const taken = iomem.find((line) => line.depth > 0 && overlap(line.range, range))
  if (used !== undefined)
    return fail(name, 'partly ordinary RAM of this kernel', 'leave out the memmap= that makes it RAM again')
  if (taken !== undefined)
    return fail(name, `held by '${taken.name}'`, 'remove what holds it, or reserve another range')
  if (iomem.length === 0) return warn(name, 'not looked at', 'run it as root to check this')
  if (!hasMemoryDevice)
    return fail(name, `no ${MEMORY_PATH} (CONFIG_DEVMEM)`, 'use a carve-out for store=dax')
  if (lockdown !== undefined && lockdown !== 'none')
    return fail(
      name,
      `this kernel is locked down (${lockdown}) and keeps ${MEMORY_PATH} closed`,
      'use store=dax',
    )
  const [node] = nodeIdsOf(nodes, range)
  return ok(
    name,
    `for store=devmem: no struct pages, not in the kernel's direct map, pages of 4K${node === undefined ? '' : `, memory node ${node}`}`,
  )
}

const LOAD: Fix = {
  question: `Load the kernel modules ${MODULES.join(' and ')}?`,
  apply: () => {
    const { status, stderr } = spawnSync('modprobe', ['-a', ...MODULES], { encoding: 'utf8' })
    if (status !== 0)
      throw new UsageError(`modprobe -a ${MODULES.join(' ')} failed: ${(stderr ?? '').trim()}`)
  },
}

/** The driver kmem makes it ordinary RAM, which the kernel then uses: nothing in it survives a kexec. */
function checkKmem(words: readonly string[], made: readonly DaxRegion[]): Finding {
  const name = `${NAME} kmem`
  const claimed = made.flatMap(({ devices }) => devices.filter(({ driver }) => driver === 'kmem'))
  if (claimed.length > 0) {
    const names = claimed.map((device) => device.name).join(' ')
    return fail(name, `${names} is ordinary RAM now`, `boot with ${KMEM_WORD}`)
  }
  if (keepsKmemAway(words)) return ok(name, 'kept away by the command line')
  return warn(name, 'not loaded now, but nothing keeps it away', `boot with ${KMEM_WORD}`)
}

/** The next kernel has the same command line, unless the operator gives it another. */
function checkKaslr(words: readonly string[], asked: readonly PhysicalRange[]): Finding {
  const name = `${NAME} KASLR`
  const exposed = asked.filter((range) => kaslrMayLandIn(words, range))
  if (exposed.length === 0) return ok(name, 'a kernel with this command line stays out')
  return fail(
    name,
    `a kernel with this command line may put itself into ${exposed.map(formatRange).join(' and ')}`,
    `add ${wordsAgainstKaslr(words).join(' ')} (docs/guide/carve-out.md says why)`,
  )
}
