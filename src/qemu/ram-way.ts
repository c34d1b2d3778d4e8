/**
 * Owns how a QEMU that is about to start gets at its guest's RAM, where the file in the mount is not what it maps: a window of
 * /dev/mem takes the file's place in its command line, and gigantic pages ask for their alignment. Found out at each start, from
 * what the file says then; what is recorded names the file.
 *
 * A window is a promise of nobody's but ours: the kernel keeps no two of them apart. So the supervisor maps a page of each before it
 * looks for the last time, and holds it as long as it lives: whoever gives memory away looks for mappings first.
 */
import { mapMemory } from '../linux/memory-device.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { PTE_BYTES } from '../values/units.ts'
import { argumentsOf, type CommandLine, jsonOf, pairsOf, replaceValue } from './command-line.ts'
import { optionValue, parseOptionString, printOptionString, withValue } from './option-string.ts'
import { parseQemuSize } from './qemu-size.ts'
import { type RamMap, readRamMap } from './ram-file.ts'
import type { VmDefinition } from './vm-definition.ts'

export interface RamWay {
  readonly id: string
  readonly map: RamMap
}

/** Errors (UsageError): a file is gone, or was given other memory just now; /dev/mem cannot be mapped. */
export function findRamWays({ ramFiles }: Pick<VmDefinition, 'ramFiles'>): RamWay[] {
  const look = () => ramFiles.map(({ id, path }) => ({ id, map: readRamMap(path) }))
  const ways = look()
  for (const { map } of ways) if (map.kind === 'window') claim(map)
  if (JSON.stringify(look()) !== JSON.stringify(ways))
    throw new UsageError('its RAM file was resized or replaced just now: start it again')
  return ways
}

/** Kept for good: this process ends with its VM. */
function claim({ path, offsetBytes }: RamMap & { kind: 'window' }): void {
  const claimed = mapMemory(path, { start: offsetBytes, lengthBytes: PTE_BYTES }, { writable: false })
  if (claimed instanceof Errno) throw new UsageError(`${path} cannot be mapped: ${claimed}`)
}

/** Some RAM is a window: QEMU must open /dev/mem, which takes CAP_SYS_RAWIO. */
export const hasWindow = (ways: readonly RamWay[]): boolean => ways.some(({ map }) => map.kind === 'window')

/** The line as QEMU must be given it. */
export function reachRam(line: CommandLine, ways: readonly RamWay[]): CommandLine {
  let reached = line
  for (const { id, map } of ways) {
    const argument = argumentsOf(reached, 'object').find((each) => optionValue(pairsOf(each), 'id') === id)
    if (argument?.value === undefined) continue
    const changes: [string, string][] = []
    const align = parseQemuSize(optionValue(pairsOf(argument), 'align') ?? '0') ?? 0
    if (map.alignBytes > align) changes.push(['align', String(map.alignBytes)])
    if (map.kind === 'window') changes.push(['mem-path', map.path], ['offset', String(map.offsetBytes)])
    if (changes.length > 0) reached = replaceValue(reached, argument, withChanges(argument.value, changes))
  }
  return reached
}

function withChanges(value: string, changes: readonly [string, string][]): string {
  const json = jsonOf(value)
  if (json === undefined)
    return printOptionString(
      changes.reduce((pairs, [key, to]) => withValue(pairs, key, to), parseOptionString(value)),
    )
  const typed = changes.map(([key, to]) => [key, key === 'mem-path' ? to : Number(to)])
  return JSON.stringify({ ...json, ...Object.fromEntries(typed) })
}
