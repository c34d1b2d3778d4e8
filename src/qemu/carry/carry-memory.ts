/**
 * RAM that the operator plugged or unplugged: memory backends and DIMMs, as arguments of the next QEMU's
 * command line, and the RAM files that the next QEMU has.
 *
 * Why no byte is lost: shared memory is carried only as a whole file of a pool that /proc shows QEMU has
 * mapped, that the VM's user may open, and that is no other VM's; private memory is in the stream, in
 * whatever the next QEMU allocates. The trial shows that each block has its size and each device its place,
 * and after the load both are compared with the record.
 */
import { resolve } from 'node:path'
import { mountOver } from '../../linux/beneath.ts'
import { Errno } from '../../values/errno.ts'
import { PMD_BYTES } from '../../values/units.ts'
import {
  append,
  argumentById,
  argumentsOf,
  type CommandLine,
  driverOf,
  idOf,
  setKeys,
  withoutArguments,
} from '../command-line.ts'
import { storeOf } from '../devmem-trust.ts'
import { readIvshmems } from '../ivshmem-addresses.ts'
import type { Ask } from '../machine/ask.ts'
import { idOfMemory, type MemoryDevice, memdevOf, readMemoryDevices } from '../machine/memory-devices.ts'
import type { RamBlock, Reading } from '../machine/reading.ts'
import { isMappedBy, otherMapper, whyNotOpenedAsRam } from '../mapped-ram.ts'
import { type RamFile, resolveInDirectory } from '../memory-backends.ts'
import { otherOwner } from '../ram-claims.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { CannotCarry, type Change } from './change.ts'
import { type DeviceFacts, readDevice } from './device-facts.ts'
import { ramWords } from './ram-words.ts'

export interface CarriedMemory {
  readonly line: CommandLine
  readonly ramFiles: VmDefinition['ramFiles']
  /** DIMMs that were plugged, to be added to the line. */
  readonly dimms: readonly DeviceFacts[]
  /** Ids of objects that were added or removed. */
  readonly objects: ReadonlySet<string>
}

export interface MemoryRequest {
  readonly ask: Ask
  readonly definition: VmDefinition
  readonly line: CommandLine
  readonly start: Pick<Reading, 'ram'>
  readonly now: Pick<Reading, 'ram'>
  /** Of memory devices; undefined: they were not read when the machine was started. */
  readonly changed: Change | undefined
  readonly pid: number
}

/** DIMMs, by their type in `query-memory-devices`. */
const DRIVERS: Readonly<Record<string, string>> = { dimm: 'pc-dimm', nvdimm: 'nvdimm' }

const isEqual = (a: RamBlock, b: RamBlock): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Blocks of `now` that `before` has not. */
export const addedRam = (before: Pick<Reading, 'ram'>, now: Pick<Reading, 'ram'>): RamBlock[] =>
  now.ram.filter((block) => !before.ram.some((other) => isEqual(block, other)))

/** Errors: CannotCarry, QemuError; UsageError: a RAM file cannot be read. */
export async function carryMemory(request: MemoryRequest): Promise<CarriedMemory> {
  const { ask, definition, start, now, changed } = request
  const [added, removed] = [addedRam(start, now), addedRam(now, start)]
  if (changed === undefined && added.length + removed.length > 0)
    throw new CannotCarry('which memory devices it had was not read when it started')
  const devices = await readMemoryDevices(ask)
  const kept = withoutRam(request, removed, devices)
  const shared = await sharedMemories(ask, added)
  let line = kept
  const files = definition.ramFiles.filter(({ id }) => !removed.some((block) => block.id === id))
  for (const block of added) {
    const file = block.isShared ? await fileOf(block, shared.has(block.id), request) : undefined
    if (file !== undefined) files.push(file)
    const device = devices.find(({ data }) => memdevOf(data) === block.id)
    refusePrivateFile(block, definition)
    line = append(line, 'object', JSON.stringify(await ramWords(ask, block, file?.path, device)))
  }
  const plugged = devices.filter((device) => hasSubject(changed?.added, idOfMemory(device)))
  return {
    line,
    ramFiles: files,
    dimms: await Promise.all(plugged.flatMap((device) => dimmFacts(ask, device))),
    objects: new Set([...added, ...removed].map(({ id }) => id)),
  }
}

const hasSubject = (items: readonly string[] | undefined, id: string): boolean =>
  items?.some((item) => item.startsWith(`${id}: `)) ?? false

/**
 * The line without what is gone. QEMU would give a later DIMM of the line the place of such a one, so each of
 * the others gets its present one.
 */
function withoutRam(
  { line, definition, changed }: MemoryRequest,
  removed: readonly RamBlock[],
  devices: readonly MemoryDevice[],
): CommandLine {
  const objects = removed.map(({ id }) => {
    if (definition.ramFiles[0]?.id === id) throw new CannotCarry(`RAM '${id}' has the record of the VM`)
    const argument = argumentById(line, 'object', id)
    if (argument === undefined) throw new CannotCarry(`RAM '${id}' is no object of the command line`)
    return argument
  })
  const dimms = argumentsOf(line, 'device').filter((argument) =>
    Object.values(DRIVERS).includes(driverOf(argument)),
  )
  // Also one that was plugged again, in another place: it is among those that are added.
  const gone = dimms.filter((argument) => hasSubject(changed?.removed, idOf(argument) ?? ''))
  if (gone.length === 0) return withoutArguments(line, objects)
  const stay = dimms.filter((argument) => !gone.includes(argument))
  const placed = stay.reduce(
    (all, argument) => {
      const device = devices.find(({ data: { id } }) => id !== undefined && id === idOf(argument))
      if (device === undefined)
        throw new CannotCarry('a DIMM of the command line has no id: its address is not known')
      const { addr = 0, slot = 0 } = device.data
      const at = argumentById(all, 'device', idOfMemory(device))
      return at === undefined
        ? all
        : setKeys(all, at, [
            ['addr', String(addr), addr],
            ['slot', String(slot), slot],
          ])
    },
    withoutArguments(line, gone),
  )
  return withoutArguments(placed, objects)
}

/** Ids of the memory of ivshmems, which other VMs may have, too. */
async function sharedMemories(ask: Ask, added: readonly RamBlock[]): Promise<ReadonlySet<string>> {
  if (added.length === 0) return new Set()
  return new Set((await readIvshmems(ask)).map(({ memory }) => memory))
}

/** Errors (CannotCarry): the block is in no pool, or not as the RAM of a guest must be there. */
async function fileOf(
  block: RamBlock,
  isShared: boolean,
  { definition, pid }: MemoryRequest,
): Promise<RamFile> {
  const { id, sizeBytes } = block
  const path = block.path === null ? undefined : resolveInDirectory(resolve(definition.cwd, block.path))
  const mount = path === undefined ? undefined : mountOver(path)
  if (path === undefined || mount === undefined || mount instanceof Errno)
    throw new CannotCarry(`RAM '${id}' is in no pool`)
  if (storeOf(mount.path) === 'devmem') throw new CannotCarry(`RAM '${id}' is in a pool with store=devmem`)
  if (!isShared && sizeBytes % PMD_BYTES !== 0)
    throw new CannotCarry(`the size of RAM '${id}' is not a multiple of 2 MiB`)
  if (!isMappedBy(pid, path))
    throw new CannotCarry(`${path} is not the file that QEMU has as RAM '${id}': it was renamed or replaced`)
  const denied = whyNotOpenedAsRam(path, definition)
  if (denied !== undefined)
    throw new CannotCarry(
      `${path} cannot be opened by the VM's user (uid ${definition.uid}), as whom its next QEMU runs: ${denied.name}`,
    )
  const file = { id, path, sizeBytes, ...(isShared && { isShared }) }
  const owner = otherOwner(definition, file)
  if (owner !== undefined) throw new CannotCarry(`${path} is RAM of VM ${owner}`)
  // Of memory that this guest shares, the one that has it as its own RAM is refused.
  const other = isShared ? undefined : await otherMapper(definition.name, file)
  if (other !== undefined)
    throw new CannotCarry(`${path} was plugged into VM ${other.name}, too (process ${other.qemu.pid})`)
  return file
}

/** The next QEMU would load the stream into a private copy of the file, and leave the file as it is. */
function refusePrivateFile({ id, isShared, path }: RamBlock, { cwd }: VmDefinition): void {
  if (!isShared && path !== null && !(mountOver(resolve(cwd, path)) instanceof Errno))
    throw new CannotCarry(`RAM '${id}' on ${path} needs share=on`)
}

/** Of virtio-mem and virtio-pmem the size and the contents depend on their drivers in the guest. */
function dimmFacts(ask: Ask, device: MemoryDevice): Promise<DeviceFacts>[] {
  const { id, addr, slot } = device.data
  const driver = DRIVERS[device.type]
  if (driver === undefined) throw new CannotCarry(`a ${device.type} was plugged`)
  if (id === undefined) throw new CannotCarry('a DIMM without an id was plugged')
  const placed = async (): Promise<DeviceFacts> => {
    const facts = await readDevice(ask, id, driver)
    return { ...facts, properties: { ...facts.properties, addr, slot } }
  }
  return [placed()]
}
