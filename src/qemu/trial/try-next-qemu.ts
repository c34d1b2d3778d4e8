/**
 * The trial of a guest's next QEMU, while the guest runs in its old one: this process starts it on the same
 * RAM and the same files, and it waits for a guest's state that is never sent. So a missing file, device or
 * ROM is found before the guest is stopped.
 *
 * Why no byte of the guest is lost: a QEMU that waits (`-incoming defer`) has built its machine, and neither
 * runs it nor writes RAM by a reset; it opens images inactive, without writing. That was measured for the
 * machines and devices of `trial-line.ts`; others are not tried. The trial's QEMU has ended before the guest
 * is stopped.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { close } from '../../linux/descriptors.ts'
import { listenUnix } from '../../linux/unix-listener.ts'
import { vmPaths } from '../../run/vm-runtime.ts'
import { errorText } from '../../values/errors.ts'
import { LATE, within } from '../../values/within.ts'
import { firstOther, isOfPci, machineFacts } from '../carry/machine-facts.ts'
import { parseCommandLine, printCommandLine } from '../command-line.ts'
import { endOfErrorOutput } from '../error-output.ts'
import { type IvshmemAddress, setIvshmemAddresses } from '../ivshmem-addresses.ts'
import { type Ask, askOnce } from '../machine/ask.ts'
import { readMachine } from '../machine/read-machine.ts'
import type { Reading } from '../machine/reading.ts'
import type { QemuVersion } from '../qemu-version.ts'
import { QmpClient } from '../qmp-client.ts'
import { readRamMap } from '../ram-file.ts'
import { withRamMappings } from '../ram-mapping.ts'
import { spawnQemu } from '../start/spawn-qemu.ts'
import { isVfio } from '../vfio-devices.ts'
import { incomingArgv } from '../vm-command-line.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { type BlockSizes, otherSizes, readBlockSizes } from './block-sizes.ts'
import { type GuestProcessor, otherProcessor, readProcessor } from './processor.ts'
import { standIn } from './stand-in.ts'
import { otherStates, readStates, type States } from './state-schemas.ts'
import { STAND_IN_FD, type TrialLine, trialLine } from './trial-line.ts'

export interface Trial {
  /** Why the next QEMU would not take the guest. */
  readonly problems: readonly string[]
  /** What would be another, and is no reason against the update. */
  readonly remarks: readonly string[]
  /** What could not be tried; empty: the trial was made. */
  readonly unproven: readonly string[]
  /** Types of devices that the machine that was tried did not have. */
  readonly without: readonly string[]
}

const NOTHING: Trial = { problems: [], remarks: [], unproven: [], without: [] }

/** Long enough for a QEMU on a busy host. */
const ANSWER_TIMEOUT_MS = 30_000
const QUIT_TIMEOUT_MS = 2000
const TIMEOUT = '/usr/bin/timeout'
/** timeout(1) ends the trial's QEMU if this process dies. It runs as QEMU's user. */
const BOUND = [TIMEOUT, '-s', 'KILL', String((2 * ANSWER_TIMEOUT_MS) / 1000)]

/** The machine that runs, to which the next one must be equal. */
export interface Running {
  readonly now: Reading
  /** As `machineFacts` has them for the devices in `plugged`; empty: they are not compared. */
  readonly facts: readonly string[]
  readonly plugged: readonly string[]
  readonly blocks: BlockSizes
  readonly processor: GuestProcessor
  /** Path of its program as it was when it was started. */
  readonly program: string
  readonly version: QemuVersion
  readonly ivshmems?: readonly IvshmemAddress[] | undefined
}

/** `argv`: the next QEMU and its arguments. Never rejects: what fails is a problem of this guest. */
export async function tryNextQemu(
  definition: VmDefinition,
  argv: readonly string[],
  running: Running,
): Promise<Trial> {
  try {
    const line = chooseLine(definition, argv)
    if ('unproven' in line) return { ...NOTHING, unproven: line.unproven }
    return { ...NOTHING, ...(await run(definition, line, running)), without: line.without }
  } catch (error) {
    return { ...NOTHING, problems: [errorText(error)] }
  }
}

/** Errors (UsageError): a RAM file is not in a mount of guestmemfs. */
function chooseLine(
  { ramFiles, machineType }: VmDefinition,
  argv: readonly string[],
): TrialLine | { readonly unproven: readonly string[] } {
  const maps = ramFiles.map(({ id, path }) => ({ id, map: readRamMap(path) }))
  // It would start as root, and a process with /dev/mem open can map all of the pool.
  if (maps.some(({ map }) => map.by === 'devmem')) return { unproven: ['RAM by /dev/mem'] }
  if (!existsSync(TIMEOUT)) return { unproven: [`there is no ${TIMEOUT}`] }
  const waiting = incomingArgv(printCommandLine(withRamMappings(parseCommandLine(argv), maps)))
  const line = trialLine(parseCommandLine(waiting), machineType)
  return line.obstacles.length > 0 ? { unproven: line.obstacles } : line
}

type Found = Pick<Trial, 'problems' | 'remarks'>

async function run(definition: VmDefinition, line: TrialLine, running: Running): Promise<Found> {
  const folder = mkdtempSync(join(vmPaths(definition.name).directory, 'trial-'))
  const [socket, log] = [join(folder, 'qmp'), join(folder, 'log')]
  const monitor = listenUnix(socket)
  const output = openSync(log, 'a', 0o600)
  const silent = openSync('/dev/null', 'r')
  let child: ChildProcess | undefined
  let qmp: QmpClient | undefined
  try {
    const bounded = [...BOUND, ...line.argv]
    const launch = { argv: bounded, credentials: definition, environment: definition.environment }
    const standIns = Array.from({ length: line.standIns }, () => 'pipe' as const)
    child = spawnQemu(definition, launch, [silent, output, output, monitor, ...standIns])
    for (const socket of child.stdio.slice(STAND_IN_FD)) if (socket instanceof Duplex) standIn(socket)
    const ended = once(child, 'exit').then(() => {
      throw new Error('it ended')
    })
    ended.catch(() => {}) // it also rejects once the trial is over
    qmp = await Promise.race([QmpClient.connect(socket, ANSWER_TIMEOUT_MS), ended])
    const found = await compare(qmp, line, running)
    if (found.problems.length > 0 || qmp.version === running.version) return found
    const { problems, remarks } = await compareStates(definition, line.argv[0] as string, running)
    return { problems, remarks: [...found.remarks, ...remarks] }
  } catch (error) {
    const words = endOfErrorOutput(log)
    const problem = `its next QEMU does not start: ${words === '' ? errorText(error) : words}`
    return { problems: [problem], remarks: [] }
  } finally {
    await end(child, qmp)
    close(monitor)
    for (const fd of [output, silent]) closeSync(fd)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Errors: QemuError. */
async function compare(qmp: QmpClient, line: TrialLine, running: Running): Promise<Found> {
  const ask = askOnce(qmp)
  const [next, blocks, its] = await Promise.all([
    readMachine(qmp, ask),
    readBlockSizes(ask),
    readProcessor(ask),
  ])
  const problems = otherMachine(running.now, next, line)
  if (problems.length > 0) return { problems, remarks: [] }
  const processor = otherProcessor(running.processor, its)
  const other = [
    ...(await otherFacts(ask, running, line)),
    ...otherSizes(running.blocks, blocks),
    ...processor.problems,
  ]
  if (other.length === 0) await setIvshmemAddresses(qmp, running.ivshmems ?? [])
  return { problems: other, remarks: processor.remarks }
}

/** Of the devices that the guest has, where its next QEMU is of another version. Never rejects. */
async function compareStates(
  definition: VmDefinition,
  next: string,
  { program, now }: Running,
): Promise<Found> {
  const all = new Set((now.items.devices ?? []).map((item) => item.split(' ', 1)[0] as string))
  // What QEMU describes for VFIO is in no stream of this mode (`cpr_incoming_needed`, hw/vfio/cpr.c).
  const types = new Set([...all].filter((type) => !isVfio(type)))
  try {
    const [ours, theirs] = await Promise.all(
      [program, next].map((path) => readStates(path, definition.machineType, types, definition)),
    )
    return otherStates(ours as States, theirs as States)
  } catch (error) {
    return { problems: [], remarks: [errorText(error)] }
  }
}

async function end(child: ChildProcess | undefined, qmp: QmpClient | undefined): Promise<void> {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
    qmp?.close()
    return
  }
  const ended = once(child, 'exit')
  await qmp?.execute('quit', {}, QUIT_TIMEOUT_MS).catch(() => {})
  qmp?.close()
  const first = await within(ended, QUIT_TIMEOUT_MS)
  // timeout(1) leads a process group of its own, with QEMU in it.
  if (first === LATE) process.kill(-child.pid, 'SIGKILL')
  await ended
}

async function otherFacts(
  ask: Ask,
  { facts, plugged, now }: Running,
  { without, placeholders }: TrialLine,
): Promise<string[]> {
  if (facts.length === 0) return []
  // `TYPE "ID": on BUS` in the reading, and its place among the facts.
  const gone = (now.items.devices ?? []).flatMap((item) => {
    const [, type = '', id] = /^(\S+) "([^"]+)": on /.exec(item) ?? []
    return without.includes(type) ? [`device ${id} at `] : []
  })
  const isCounted = (fact: string): boolean =>
    !gone.some((place) => fact.startsWith(place)) && !placeholders.some((id) => isOfPci(fact, id))
  const next = await machineFacts(ask, plugged)
  const other = firstOther(facts.filter(isCounted), next.filter(isCounted))
  return other === undefined ? [] : [`its next QEMU would differ in ${other}`]
}

/**
 * One line for what the next machine lacks, or has in addition. Without properties, which each version of
 * QEMU spells its own way.
 */
function otherMachine(now: Reading, next: Reading, { without, placeholders }: TrialLine): string[] {
  const isOther = (item: string): boolean => placeholders.some((id) => item.includes(` "${id}": on `))
  const shape = ({ ram, items }: Reading): string[] => [
    ...ram.map(({ id, sizeBytes }) => `RAM '${id}' of ${sizeBytes} bytes`),
    ...(items.devices ?? [])
      .filter(
        (item) =>
          / on \S+$/.test(item) && !isOther(item) && !without.includes(item.split(' ', 1)[0] as string),
      )
      .map((item) => `device ${item}`),
    ...(items.processors ?? []).filter((item) => item.endsWith(': plugged')),
  ]
  const [have, will] = [new Set(shape(now)), new Set(shape(next))]
  const [missing] = have.difference(will)
  const [more] = will.difference(have)
  if (missing !== undefined) return [`its next QEMU would be without ${missing}`]
  return more === undefined ? [] : [`its next QEMU would have ${more}, which the guest has not`]
}
