/**
 * The choice of a pool's reserved range, and refusals of one that cannot hold a pool. A range is named by its
 * first byte, as `0x100000000` or `4G`. Only ranges that the kernel's command line reserves are considered:
 * other reserved memory is the firmware's. Must not: change anything.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { firmwareMap } from '../../linux/firmware-map.ts'
import { type IomemLine, parseIomem } from '../../linux/iomem.ts'
import { formatBytes, formatRange, reservedRanges } from '../../linux/memmap.ts'
import { splitCommandLine } from '../../linux/memory-info.ts'
import { readMemoryNodes } from '../../linux/memory-nodes.ts'
import {
  covers,
  overlap,
  type PhysicalRange,
  rangeBetween,
  subtractRanges,
} from '../../linux/memory-ranges.ts'
import { UsageError } from '../../values/errors.ts'
import { parseAddress } from '../../values/size.ts'
import { layOut, nodesIn, type RegionLayout } from '../carve-out/layout.ts'
import type { NodePart } from '../store.ts'

export interface FoundRange {
  /** `0x100000000`. */
  readonly name: string
  readonly layout: RegionLayout
  readonly nodes: readonly NodePart[]
}

const HOW = "boot with memmap=SIZE$START ('guestmemfs reserve --store devmem' says how)"

/**
 * `wanted` undefined: the only one there is. `root`: where procfs and sysfs are found. Throws UsageError: one
 * line that says what to do.
 */
export function findReservedRange(wanted: string | undefined, root = '/'): FoundRange {
  const words = splitCommandLine(text(join(root, 'proc/cmdline')))
  const range = choose(reservedRanges(words), wanted)
  const name = `0x${range.start.toString(16)}`
  refuseNotRam(range, join(root, 'sys/firmware/memmap'))
  const iomem = parseIomem(text(join(root, 'proc/iomem')))
  if (iomem.length === 0) throw new UsageError('a reserved range is for root alone: run it with sudo')
  refuseNotReserved(range, iomem)
  refuseTaken(range, iomem)
  const layout = layOut(range, name)
  return { name, layout, nodes: nodesIn(layout, readMemoryNodes(join(root, 'sys'), [])) }
}

/** Two mounts of one range exclude each other by a lock of this name. */
export const rangeLockName = ({ layout }: FoundRange): string => `mem-${layout.range.start.toString(16)}`

function choose(reserved: readonly PhysicalRange[], wanted: string | undefined): PhysicalRange {
  const names = reserved.map(({ start }) => `0x${start.toString(16)}`).join(', ')
  const [first, second] = reserved
  if (wanted !== undefined) {
    const start = parseAddress(wanted, 'region')
    const found = reserved.find((range) => range.start === start)
    if (found !== undefined) return found
    throw new UsageError(
      `no range at ${formatBytes(start)} is reserved by the command line: ${names === '' ? HOW : `there is ${names}`}`,
    )
  }
  if (first === undefined) throw new UsageError(`no memory is reserved by the command line: ${HOW}`)
  if (second !== undefined)
    throw new UsageError(`there are several reserved ranges: say which one with region=, of ${names}`)
  return first
}

/** `memmap=` reserves any range: one that is not RAM keeps no bytes, or is a device. */
function refuseNotRam(range: PhysicalRange, folder: string): void {
  const ram = firmwareMap(folder)?.filter(({ name }) => name === 'System RAM')
  if (ram === undefined)
    throw new UsageError(
      'this kernel does not show the firmware map (CONFIG_FIRMWARE_MEMMAP): is the range RAM?',
    )
  const [gap] = subtractRanges(
    [range],
    ram.map(({ start, end }) => rangeBetween(start, end)),
  )
  if (gap !== undefined)
    throw new UsageError(
      `range ${formatRange(range)} is not all RAM: ${formatRange(gap)} is the firmware's, a device's or nothing: reserve another one`,
    )
}

function refuseNotReserved(range: PhysicalRange, iomem: readonly IomemLine[]): void {
  const of = (name: string) =>
    iomem.filter((line) => line.depth === 0 && line.name === name).map((line) => line.range)
  const used = of('System RAM').find((ram) => overlap(ram, range))
  if (used !== undefined)
    throw new UsageError(
      `range ${formatRange(range)} is partly ordinary RAM of this kernel (at ${formatBytes(Math.max(used.start, range.start))}): another memmap= makes it RAM again, leave that out`,
    )
  const [gap] = subtractRanges([range], of('Reserved'))
  if (gap !== undefined && !covers(of('Reserved'), range))
    throw new UsageError(
      `range ${formatRange(range)} is not reserved in this kernel's map, at ${formatBytes(gap.start)}: ${HOW}`,
    )
}

/** A driver that requested a part of it is listed below it. */
function refuseTaken(range: PhysicalRange, iomem: readonly IomemLine[]): void {
  const taken = iomem.find((line) => line.depth > 0 && overlap(line.range, range))
  if (taken !== undefined)
    throw new UsageError(
      `range ${formatRange(range)} is held by '${taken.name}' at ${formatBytes(taken.range.start)}: remove what holds it, or reserve another range`,
    )
}

function text(path: string): string {
  return readFileSync(path, 'latin1').trimEnd()
}
