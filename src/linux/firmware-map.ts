/**
 * The memory map that the firmware, or the former kernel, passed to this kernel, unchanged by its command
 * line. Reads alone. Source: drivers/firmware/memmap.c; the types' names are e820_type_to_string()'s.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOfNodeError } from './library.ts'

export interface FirmwareRange {
  readonly start: number
  /** One past the last byte. */
  readonly end: number
  /** As the kernel names it, such as `System RAM`. */
  readonly name: string
}

const FOLDER = '/sys/firmware/memmap'

/** In ascending order. Undefined: this kernel does not show it (CONFIG_FIRMWARE_MEMMAP). */
export function firmwareMap(folder: string = FOLDER): FirmwareRange[] | undefined {
  let entries: string[]
  try {
    entries = readdirSync(folder)
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
  const ranges = entries.map((entry) => {
    const [start, last, name] = ['start', 'end', 'type'].map((field) =>
      readFileSync(join(folder, entry, field), 'latin1').trim(),
    ) as [string, string, string]
    return { start: Number(start), end: Number(last) + 1, name }
  })
  return ranges.toSorted((one, other) => one.start - other.start)
}
