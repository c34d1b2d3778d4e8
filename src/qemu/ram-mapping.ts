/**
 * How a QEMU that is about to start maps its guest's RAM, where the recorded line is not enough: a window of
 * /dev/mem takes the file's place in the command line, gigantic pages need their alignment, and memory of a
 * region takes no `host-nodes`. All is read from the file's xattr at each start; the record names the file.
 *
 * The kernel lets two windows overlap, so only this program keeps them apart. Two processes map a page of
 * each window before the last read of the xattr: the one that becomes QEMU, whose mappings end with that, and
 * the watcher of all guests, which keeps its own until the guest's QEMU has ended. A server looks for
 * mappings before it releases memory.
 */
import { mapMemory } from '../linux/memory-device.ts'
import type { RawMapping } from '../linux/raw-memory.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { PTE_BYTES } from '../values/units.ts'
import { argumentById, type CommandLine, type KeyValue, pairsOf, setKeys } from './command-line.ts'
import { isFixed, withoutNodes } from './host-nodes.ts'
import type { RamFile } from './memory-backends.ts'
import { optionValue } from './option-string.ts'
import { parseQemuSize } from './qemu-size.ts'
import { type RamMap, readRamMap } from './ram-file.ts'
import type { VmDefinition } from './vm-definition.ts'

export interface RamMapping {
  readonly id: string
  readonly map: RamMap
  /** What QEMU opens in the file's place; left out where it opens the file, or `map` says it. */
  readonly path?: string
}

/** Errors (UsageError): a file is gone, or was given other memory just now; /dev/mem cannot be mapped. */
export function findRamMappings({ ramFiles }: Pick<VmDefinition, 'ramFiles'>): RamMapping[] {
  const look = () => ramFiles.map(({ id, path }) => ({ id, map: readRamMap(path) }))
  const mappings = look()
  for (const { map } of mappings) if (map.by === 'devmem') mapFirstPage(map)
  if (JSON.stringify(look()) !== JSON.stringify(mappings))
    throw new UsageError('its RAM file was resized or replaced just now: start it again')
  return mappings
}

function mapFirstPage({ path, offsetBytes }: RamMap & { by: 'devmem' }): RawMapping {
  const mapping = mapMemory(path, { start: offsetBytes, lengthBytes: PTE_BYTES }, { writable: false })
  if (mapping instanceof Errno) throw new UsageError(`${path} cannot be mapped: ${mapping}`)
  return mapping
}

/** A page of each window among `files`, mapped until the caller unmaps it. Errors: UsageError. */
export function mapWindows(files: readonly Pick<RamFile, 'path'>[]): RawMapping[] {
  const maps = files.map(({ path }) => readRamMap(path))
  return maps.flatMap((map) => (map.by === 'devmem' ? [mapFirstPage(map)] : []))
}

/** Whether some RAM is a window: then QEMU must open /dev/mem, which takes CAP_SYS_RAWIO. */
export const hasWindow = (mappings: readonly RamMapping[]): boolean =>
  mappings.some(({ map }) => map.by === 'devmem')

/** The line as QEMU must be given it. */
export function withRamMappings(line: CommandLine, mappings: readonly RamMapping[]): CommandLine {
  let mapped = line
  for (const { id, map, path } of mappings) {
    const argument = argumentById(mapped, 'object', id)
    if (argument?.value === undefined) continue
    const changes: KeyValue[] = []
    const align = parseQemuSize(optionValue(pairsOf(argument), 'align') ?? '0') ?? 0
    if (map.alignBytes > align) changes.push(['align', String(map.alignBytes), map.alignBytes])
    if (path !== undefined) changes.push(['mem-path', path])
    if (map.by === 'devmem')
      changes.push(['mem-path', map.path], ['offset', String(map.offsetBytes), map.offsetBytes])
    if (changes.length > 0) mapped = setKeys(mapped, argument, changes)
    if (isFixed(map)) mapped = withoutNodes(mapped, id)
  }
  return mapped
}
