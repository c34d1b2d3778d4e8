/**
 * This machine's physical memory: the firmware's map, what is loaded where now, memory nodes. This file only
 * reads, and decides nothing. Without root the kernel hides where things are loaded: that is then unknown.
 * Sources: drivers/firmware/memmap.c, Documentation/arch/x86/zero-page.rst.
 */
import { join } from 'node:path'
import { firmwareMap } from '../linux/firmware-map.ts'
import { type IomemLine, parseIomem } from '../linux/iomem.ts'
import { E820 } from '../linux/memmap.ts'
import { type MemoryNode, readMemoryNodes } from '../linux/memory-nodes.ts'
import {
  mergeRanges,
  overlap,
  type PhysicalRange,
  rangeBetween,
  rangeEnd,
  subtractRanges,
} from '../linux/memory-ranges.ts'
import { readIfReadable } from '../linux/readable-file.ts'
import { UsageError } from '../values/errors.ts'
import type { E820Entry } from './memory-map.ts'

export interface MachineMemory {
  /** The firmware's map, before any option of the command line. */
  readonly firmware: readonly E820Entry[]
  /** Empty where the kernel shows no nodes. */
  readonly nodes: readonly MemoryNode[]
  /** What the running kernel and its loader put somewhere; the next boot may put it elsewhere. */
  readonly occupants: readonly Occupant[]
}

export interface Occupant {
  readonly what: 'kernel' | 'crash kernel' | 'initrd'
  readonly range: PhysicalRange
}

/**
 * `carveOuts`: those of the running kernel, which /proc/iomem shows no longer as RAM. `root` is where sysfs
 * and procfs are found; tests pass a folder of their own. Throws UsageError when neither source shows where
 * RAM is.
 */
export function readMachineMemory(carveOuts: readonly PhysicalRange[], root = '/'): MachineMemory {
  const iomem = parseIomem(text(join(root, 'proc/iomem')) ?? '')
  const firmware = firmwareMap(join(root, 'sys/firmware/memmap'))?.map(({ start, end, name }) => ({
    start,
    end,
    type: TYPES[name] ?? E820.RESERVED,
  }))
  const map = firmware === undefined || firmware.length === 0 ? mapOfIomem(iomem, carveOuts) : firmware
  if (!map.some(({ type }) => type === E820.RAM))
    throw new UsageError(
      'the memory map cannot be read: there is no /sys/firmware/memmap, and /proc/iomem shows addresses to root alone',
    )
  return {
    firmware: map,
    nodes: readMemoryNodes(join(root, 'sys')),
    occupants: [
      ...occupantsOfIomem(iomem),
      ...initrdOf(readIfReadable(join(root, 'sys/kernel/boot_params/data'))),
    ],
  }
}

/** Names of e820_type_to_string(); memory of any other name is not used. */
const TYPES: Readonly<Record<string, number>> = {
  'System RAM': E820.RAM,
  'ACPI Tables': E820.ACPI,
  'Persistent Memory (legacy)': E820.PERSISTENT,
  'Soft Reserved': E820.SOFT_RESERVED,
}

/**
 * Where the kernel does not show the firmware's map. Carve-outs count as RAM, because the next command line
 * asks for them anew.
 */
function mapOfIomem(lines: readonly IomemLine[], carveOuts: readonly PhysicalRange[]): E820Entry[] {
  const top = lines.filter(({ depth }) => depth === 0)
  const others = top.filter(({ name }) => name !== 'System RAM' && name !== 'Soft Reserved')
  const taken = others.map(({ range }) => range)
  const back = top.filter(
    ({ name, range }) => name === 'Soft Reserved' && carveOuts.some((each) => overlap(each, range)),
  )
  const ram = [...top.filter(({ name }) => name === 'System RAM'), ...back].map(({ range }) => range)
  const typed = (ranges: readonly PhysicalRange[], type: number): E820Entry[] =>
    ranges.map((range) => ({ start: range.start, end: rangeEnd(range), type }))
  return [...typed(subtractRanges(ram, taken), E820.RAM), ...typed(mergeRanges(taken), E820.RESERVED)]
}

/** The kernel is one image: code, read-only data, data and bss follow one another. */
function occupantsOfIomem(lines: readonly IomemLine[]): Occupant[] {
  const parts = lines
    .filter(({ name }) => /^Kernel (code|rodata|data|bss)$/.test(name))
    .map(({ range }) => range)
  const crash = lines.filter(({ name }) => name === 'Crash kernel')
  const image =
    parts.length === 0
      ? []
      : [rangeBetween(Math.min(...parts.map(({ start }) => start)), Math.max(...parts.map(rangeEnd)))]
  return [
    ...image.map((range): Occupant => ({ what: 'kernel', range })),
    ...crash.map(({ range }): Occupant => ({ what: 'crash kernel', range })),
  ]
}

/**
 * Where the loader put the initrd: fields of struct boot_params (ramdisk_image and _size, ext_ramdisk_image
 * and _size).
 */
function initrdOf(bootParams: Buffer | undefined): Occupant[] {
  if (bootParams === undefined || bootParams.length < 0x220) return []
  const wide = (low: number, high: number): number =>
    bootParams.readUInt32LE(high) * 2 ** 32 + bootParams.readUInt32LE(low)
  const range = { start: wide(0x218, 0x0c0), lengthBytes: wide(0x21c, 0x0c4) }
  return range.lengthBytes === 0 ? [] : [{ what: 'initrd', range }]
}

const text = (path: string): string | undefined => readIfReadable(path)?.toString('latin1')
