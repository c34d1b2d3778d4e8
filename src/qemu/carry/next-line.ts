/**
 * The command line of a guest's next QEMU: the recorded one with what was changed in the machine while it
 * ran. The preflight refuses what no line can express (`machine/differences.ts`), and a line with changes
 * that the trial did not show to make the same machine.
 */
import * as v from 'valibot'
import { openFiles } from '../../linux/open-files.ts'
import { type CommandLine, parseCommandLine, printCommandLine } from '../command-line.ts'
import type { Ask } from '../machine/ask.ts'
import { differences } from '../machine/differences.ts'
import { type NetworkClient, networkClients } from '../machine/networks.ts'
import { processorItem, readProcessors } from '../machine/processors.ts'
import { lostRam } from '../machine/ram-blocks.ts'
import type { Family, Reading } from '../machine/reading.ts'
import { isVfio } from '../vfio-devices.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { readBlockGraph } from './block-graph.ts'
import {
  refuseWithoutPort,
  withBootOrder,
  withDevices,
  withoutDevices,
  withProcessors,
} from './carry-devices.ts'
import { carryDisks } from './carry-disks.ts'
import { addedRam, carryMemory } from './carry-memory.ts'
import { carryNetworks } from './carry-networks.ts'
import { CannotCarry, type Changed, changedItems, NO_CHANGE } from './change.ts'
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
  /** Options that the next QEMU may have otherwise, since QEMU does not report them; one line each. */
  readonly notes: readonly string[]
}

/** What the preflight found: the save must find the same. */
export interface TriedLine {
  /** With the recorded program. */
  readonly argv: readonly string[]
  readonly ramFiles: VmDefinition['ramFiles']
  /** As `machineFacts` has them for the devices in `plugged`. */
  readonly facts: readonly string[]
  readonly plugged: readonly string[]
  /** Why no QEMU was tried with it beside the one that runs; empty: one was, and takes the guest. */
  readonly unproven: readonly string[]
  /** The guest's agent answers, and suspends it before the save. */
  readonly sleeps: boolean
  /** It is suspended when it is saved: by its agent, or by itself. */
  readonly isSavedSuspended: boolean
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
  if (lost.length === 0) return line
  // `lost` names that RAM already.
  const others = line.refused.filter((each) => !each.startsWith(OTHER_RAM))
  return { ...asRecorded(definition), refused: [...lost, ...others] }
}

const OTHER_RAM = 'its RAM was changed while it ran'

const asRecorded = ({ argv, ramFiles }: VmDefinition) => ({
  argv,
  ramFiles,
  plugged: [],
  carries: false,
  notes: [],
})

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
    const { line, ramFiles, explained, plugged, notes } = await carry(request, changed)
    const refused = differences(without(start, explained), without(now, explained))
    if (refused.length > 0) return { ...recorded, refused }
    return { argv: printCommandLine(line), ramFiles, refused, plugged, notes, carries: true }
  } catch (error) {
    if (!(error instanceof CannotCarry)) throw error
    const found = differences(start, now)
    // Where an object was replaced by one of the same id and type, the readings are equal.
    if (found.length === 0) return { ...recorded, refused: [`${OTHER_RAM}: ${error.message}`] }
    return { ...recorded, refused: found.map((each) => `${each} (${error.message})`) }
  }
}

const readNetworks = async (ask: Ask): Promise<NetworkClient[]> =>
  networkClients(await ask(v.string(), 'human-monitor-command', { 'command-line': 'info network' }))

/** An update reads all properties of each while other guests may be stopped. */
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
  readonly notes: readonly string[]
}

/** Errors: CannotCarry, QemuError, and UsageError: a RAM file cannot be read. */
async function carry({ ask, definition, pid, start, now }: ReadRequest, changed: Changed): Promise<Carried> {
  const recorded = parseCommandLine(definition.argv)
  const dimms = start.items.memory === undefined ? undefined : (changed.get('memory') ?? NO_CHANGE)
  const memory = await carryMemory({ ask, definition, line: recorded, start, now, changed: dimms, pid })
  const [drivers, processors] = await Promise.all([readDevices(ask), readProcessors(ask)])
  const { added, removed } = changed.get('devices') ?? NO_CHANGE
  const moved = new Set([...added, ...removed].flatMap((item) => PLACE_ITEM.exec(item)?.[1] ?? []))
  const plugged = [...moved].filter((id) => drivers.has(id))
  const passed = plugged.find((id) => isVfio(drivers.get(id) as string))
  if (passed !== undefined)
    throw new CannotCarry(`VFIO device ${passed} was plugged, and no trial shows that the next QEMU has it`)
  if (plugged.length > MOST_PLUGGED) throw new CannotCarry(`more than ${MOST_PLUGGED} devices were plugged`)
  await refuseWithoutPort(ask, plugged)
  const unplugging = await withoutDevices(
    ask,
    memory.line,
    (id, driver) =>
      moved.has(id) || (changed.has('processors') && driver.endsWith('-cpu') && !drivers.has(id)),
  )

  const ordered = withBootOrder(unplugging, changed.get('boot order') ?? NO_CHANGE, moved)
  const networks = changed.get('networks')
  const connected =
    networks === undefined
      ? { line: ordered, netdevs: [], notes: [] }
      : carryNetworks(ordered, networks, await readNetworks(ask), openFiles(pid))
  const hasDisks = changed.has('disks') || changed.has('media')
  // Before the devices that refer to them.
  const stored = hasDisks
    ? carryDisks(connected.line, await readBlockGraph(ask))
    : { line: connected.line, notes: [] }
  const devices = await Promise.all(plugged.map((id) => readDevice(ask, id, drivers.get(id) as string)))
  const { added: addedProcessors } = changed.get('processors') ?? NO_CHANGE
  const line = withProcessors(
    withDevices(stored.line, [...devices, ...memory.dimms]),
    processors.filter((processor) => addedProcessors.includes(processorItem(processor))),
  )
  const subjects = new Set([...connected.netdevs, ...moved])
  return {
    line,
    ramFiles: memory.ramFiles,
    plugged: [...plugged, ...memory.dimms.map(({ id }) => id)],
    notes: [...connected.notes, ...stored.notes],
    explained: (family, item) => {
      const id = DEVICE_ITEM.exec(item)?.[1]
      switch (family) {
        case 'disks':
        case 'caches':
        case 'media':
          return hasDisks
        case 'processors':
        case 'boot order':
        case 'memory':
          return true
        case 'objects':
          return memory.objects.has(item.split(': ', 1)[0] as string)
        case 'networks':
        case 'addresses':
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
