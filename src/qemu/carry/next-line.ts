/**
 * The command line of a guest's next QEMU: the recorded one with what was changed in the machine while it
 * ran. The preflight refuses what no line can say (`machine/differences.ts`), and a line with changes that
 * the trial did not show to make the same machine.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { type CommandLine, parseCommandLine, printCommandLine } from '../command-line.ts'
import type { Ask } from '../machine/ask.ts'
import { differences } from '../machine/differences.ts'
import { processorItem, readProcessors } from '../machine/processors.ts'
import { lostRam } from '../machine/ram-blocks.ts'
import type { Family, Reading } from '../machine/reading.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { readBlockGraph } from './block-graph.ts'
import { refuseWithoutPort, withDevices, withoutDevices, withProcessors } from './carry-devices.ts'
import { carryDisks } from './carry-disks.ts'
import { addedRam, carryMemory } from './carry-memory.ts'
import { carryNetworks } from './carry-networks.ts'
import { CannotCarry, type Changed, changedItems, NOTHING } from './change.ts'
import { readDevice, readDevices } from './device-facts.ts'

export interface NextLine {
  /** With the recorded program. */
  readonly argv: readonly string[]
  /** What cannot be carried, one line each. */
  readonly refused: readonly string[]
  /** Of that line. */
  readonly ramFiles: VmDefinition['ramFiles']
  /** Ids of devices that were plugged. Empty as well where the line is the recorded one. */
  readonly plugged: readonly string[]
  /** Something was changed, and the line accounts for it. */
  readonly carries: boolean
}

/** What the preflight found: the save must find the same. */
export interface TriedLine {
  /** With the recorded program. */
  readonly argv: readonly string[]
  readonly ramFiles: VmDefinition['ramFiles']
  /** As `machineFacts` has them for the devices in `plugged`. */
  readonly facts: readonly string[]
  readonly plugged: readonly string[]
}

/** By VM name. */
export type TriedLines = ReadonlyMap<string, TriedLine>

export interface LineRequest {
  readonly definition: VmDefinition
  readonly ask: Ask
  /** The process of the QEMU that runs. */
  readonly pid: number
  /** Its machine right after its start; undefined: it was not read. */
  readonly start: Reading | undefined
  readonly now: Reading
}

/**
 * The preflight calls it while the guest runs, the save again once the guest is stopped. Errors (QemuError):
 * QEMU does not answer. UsageError: a RAM file cannot be read.
 */
export async function nextLine(request: LineRequest): Promise<NextLine> {
  const { definition, start, now } = request
  if (start === undefined) return { ...asRecorded(definition), refused: lostRam(now.ram, definition) }
  const line = await lineOf({ ...request, start })
  const lost = lostRam(now.ram, { ...definition, ramFiles: line.ramFiles })
  return lost.length === 0 ? line : { ...asRecorded(definition), refused: [...lost, ...line.refused] }
}

const asRecorded = ({ argv, ramFiles }: VmDefinition) => ({ argv, ramFiles, plugged: [], carries: false })

interface ReadRequest extends LineRequest {
  readonly start: Reading
}

async function lineOf(request: ReadRequest): Promise<NextLine> {
  const { definition, now } = request
  // A former version did not read memory devices: only a change of the RAM shows that of one.
  const start: Reading = {
    ...request.start,
    items: { ...request.start.items, memory: request.start.items.memory ?? now.items.memory ?? [] },
  }
  const recorded = asRecorded(definition)
  const changed = changedItems(start, now)
  const hasOtherRam = addedRam(start, now).length + addedRam(now, start).length > 0
  if (changed.size === 0 && !hasOtherRam) return { ...recorded, refused: differences(start, now) }
  try {
    const { line, ramFiles, explained, plugged } = await carry(request, changed)
    const refused = differences(without(start, explained), without(now, explained))
    if (refused.length > 0) return { ...recorded, refused }
    return { argv: printCommandLine(line), ramFiles, refused, plugged, carries: true }
  } catch (error) {
    if (!(error instanceof CannotCarry)) throw error
    const said = differences(start, now)
    // An object that was replaced by one of the same id and type is no difference of words.
    if (said.length === 0)
      return { ...recorded, refused: [`its RAM was changed while it ran: ${error.message}`] }
    return { ...recorded, refused: said.map((each) => `${each} (${error.message})`) }
  }
}

/** All properties of each are read, and other guests may be stopped meanwhile. */
const MOST_PLUGGED = 32

/** An item of a family that the next line accounts for. */
type Explained = (family: Family, item: string) => boolean

const without = (reading: Reading, explained: Explained): Reading => ({
  ...reading,
  items: Object.fromEntries(
    Object.entries(reading.items).map(([family, items]) => [
      family,
      items.filter((item) => !explained(family as Family, item)),
    ]),
  ) as Reading['items'],
})

/**
 * Items of a device with an id, `TYPE "ID": …`; of one without; and the item with the place of one with an
 * id.
 */
const DEVICE_ITEM = /^\S+ "([^"]+)": /
const PART_ITEM = /^\S+ number \d+: on /
const PLACE_ITEM = /^\S+ "([^"]+)": on /

interface Carried {
  readonly line: CommandLine
  readonly ramFiles: VmDefinition['ramFiles']
  readonly explained: Explained
  readonly plugged: readonly string[]
}

/** Errors: CannotCarry, QemuError, and UsageError: a RAM file cannot be read. */
async function carry({ ask, definition, pid, start, now }: ReadRequest, changed: Changed): Promise<Carried> {
  const recorded = parseCommandLine(definition.argv)
  const dimms = start.items.memory === undefined ? undefined : (changed.get('memory') ?? NOTHING)
  const memory = await carryMemory({ ask, definition, line: recorded, start, now, changed: dimms, pid })
  const [drivers, processors] = await Promise.all([readDevices(ask), readProcessors(ask)])
  const { added, removed } = changed.get('devices') ?? NOTHING
  const moved = new Set([...added, ...removed].flatMap((item) => PLACE_ITEM.exec(item)?.[1] ?? []))
  const plugged = [...moved].filter((id) => drivers.has(id))
  if (plugged.length > MOST_PLUGGED) throw new CannotCarry(`more than ${MOST_PLUGGED} devices were plugged`)
  await refuseWithoutPort(ask, plugged)
  const unplugging = await withoutDevices(
    ask,
    memory.line,
    (id, driver) =>
      moved.has(id) || (changed.has('processors') && driver.endsWith('-cpu') && !drivers.has(id)),
  )

  const { line: connected, netdevs } = carryNetworks(unplugging, changed.get('networks') ?? NOTHING, () =>
    usesVhost(pid),
  )
  const hasDisks = changed.has('disks') || changed.has('media')
  // Before the devices that refer to them.
  const stored = hasDisks ? carryDisks(connected, await readBlockGraph(ask)) : connected
  const devices = await Promise.all(plugged.map((id) => readDevice(ask, id, drivers.get(id) as string)))
  const { added: addedProcessors } = changed.get('processors') ?? NOTHING
  const line = withProcessors(
    withDevices(stored, [...devices, ...memory.dimms]),
    processors.filter((processor) => addedProcessors.includes(processorItem(processor))),
  )
  const subjects = new Set([...netdevs, ...moved])
  return {
    line,
    ramFiles: memory.ramFiles,
    plugged: [...plugged, ...memory.dimms.map(({ id }) => id)],
    explained: (family, item) => {
      const id = DEVICE_ITEM.exec(item)?.[1]
      switch (family) {
        case 'disks':
        case 'media':
          return hasDisks
        case 'processors':
        case 'memory':
          return true
        case 'objects':
          return memory.objects.has(item.split(': ', 1)[0] as string)
        case 'networks':
          return subjects.has(item.split(': ', 1)[0] as string)
        case 'devices':
          // Parts of a device have no id; the trial shows that the next machine has as many of each.
          if (id === undefined) return moved.size > 0 && PART_ITEM.test(item)
          return moved.has(id) || (hasDisks && item.includes(': drive = '))
        default:
          return false
      }
    },
  }
}

function usesVhost(pid: number): boolean {
  const folder = `/proc/${pid}/fd`
  try {
    return readdirSync(folder).some((fd) => isVhost(`${folder}/${fd}`))
  } catch {
    return true // The process has ended, or may not be read.
  }
}

function isVhost(path: string): boolean {
  try {
    return readlinkSync(path) === '/dev/vhost-net'
  } catch {
    return false // QEMU has closed it meanwhile.
  }
}
