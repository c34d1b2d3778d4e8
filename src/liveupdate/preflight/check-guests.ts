/**
 * What speaks against saving the guests of an update, or against their next QEMU, found before any is paused.
 * Changes nothing that lasts.
 */
import { statfsSync } from 'node:fs'
import { isFrozen } from '../../pool/pool-view.ts'
import { probeBinary, type QemuBinary } from '../../qemu/binary.ts'
import { changes } from '../../qemu/machine/changes.ts'
import { readingAtStart } from '../../qemu/machine/kept-reading.ts'
import { streamedBytes } from '../../qemu/machine/ram-blocks.ts'
import { readMachine } from '../../qemu/machine/read-machine.ts'
import type { Reading } from '../../qemu/machine/reading.ts'
import { hasMachineType } from '../../qemu/machine-type.ts'
import { blockedReasons, runStatus, setCprReboot } from '../../qemu/migration.ts'
import { isOurNetwork, type NextStart, otherNamespaces, sharesNamespaces } from '../../qemu/namespaces.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { ramFileBytes } from '../../qemu/ram-file.ts'
import { SAVEABLE } from '../../qemu/save.ts'
import { lookAtTaps } from '../../qemu/taps.ts'
import { type Trial, tryNextQemu } from '../../qemu/trial/try-next-qemu.ts'
import { withBinary } from '../../qemu/vm-command-line.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { vmPaths } from '../../run/vm-runtime.ts'
import { errorText } from '../../values/errors.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { Limit } from '../../values/limit.ts'
import { formatSize } from '../../values/size.ts'
import { PMD_BYTES } from '../../values/units.ts'

/** A state file takes at least one block of the pool. */
const STATE_BYTES = PMD_BYTES
const QMP_TIMEOUT_MS = 5_000
/** Each is a QEMU that builds a machine, and guests want their processors. */
const TRIALS_AT_ONCE = 2
const NOT_TRIED: Trial = { problems: [], unproven: [] }
/** A former version started it, or /run was full. */
const NOT_READ =
  'its machine was not read when it started: whether devices, disks or networks were changed while it ran is not known'

/** Why `vms` cannot be updated, and what is not known of them. */
export async function checkGuests(
  vms: readonly Vm[],
  nextQemu: string | undefined,
  next: NextStart,
): Promise<Finding[]> {
  const probes = new Map<string, Promise<QemuBinary>>()
  const trials = new Limit(TRIALS_AT_ONCE)
  const found = await Promise.all(
    vms.map(async (vm) => {
      const lines = [
        ...missingRam(vm.definition),
        ...(await nextQemuProblems(vm.definition, nextQemu, probes)),
        ...(vm.qemu === undefined ? [] : otherNamespaces(vm.definition.name, vm.qemu.pid, next)),
      ]
      const subject = subjectOf(vm.definition)
      const { problems, unknown, stateBytes, now } = await lookAtGuest(vm)
      const isFit = now !== undefined && lines.length + problems.length === 0
      const trial = isFit ? await trials.run(() => tryNext(vm, nextQemu, now)) : NOT_TRIED
      const findings = [
        ...[...lines, ...problems, ...trial.problems].map((line) => fail(subject, `${subject}: ${line}`)),
        ...[...unknown, ...untried(trial)].map((line) => warn(subject, `${subject}: ${line}`)),
      ]
      return { vm, findings, stateBytes }
    }),
  )
  return [...found.flatMap(({ findings }) => findings), ...checkSpace(found)]
}

/** Of a finding that is about this guest alone. */
export const subjectOf = ({ name }: Pick<VmDefinition, 'name'>): string => `VM ${name}`

/** QEMU makes a RAM file that is missing, empty: the guest's memory would be gone, and no error said so. */
export function missingRam({ ramFiles }: VmDefinition): string[] {
  return ramFiles.flatMap(({ path, sizeBytes }) => {
    try {
      const bytes = ramFileBytes(path)
      if (bytes === undefined) return [`its RAM file ${path} is missing`]
      return bytes < sizeBytes ? [`its RAM file ${path} is smaller than the guest's RAM`] : []
    } catch (error) {
      return [errorText(error)]
    }
  })
}

async function nextQemuProblems(
  definition: VmDefinition,
  nextQemu: string | undefined,
  probes: Map<string, Promise<QemuBinary>>,
): Promise<string[]> {
  const path = nextQemu ?? (definition.argv[0] as string)
  const key = `${definition.uid} ${path}`
  const probe = probes.get(key) ?? probeBinary(path, definition)
  probes.set(key, probe)
  try {
    const binary = await probe
    if (hasMachineType(binary, definition.machineType)) return []
    return [`${path} (QEMU ${binary.version}) has no machine type ${definition.machineType}`]
  } catch (error) {
    return [errorText(error)]
  }
}

async function tryNext({ definition, qemu }: Vm, nextQemu: string | undefined, now: Reading): Promise<Trial> {
  // Its supervisor would start it there, and this process cannot.
  if (qemu === undefined || !sharesNamespaces(qemu.pid))
    return { problems: [], unproven: ['other namespaces'] }
  return await tryNextQemu(definition, withBinary(definition.argv, nextQemu), now)
}

const untried = ({ unproven }: Trial): string[] =>
  unproven.length === 0 ? [] : [`its next QEMU was not tried beside it: ${unproven.join(', ')}`]

interface GuestLook {
  readonly problems: readonly string[]
  /** What could not be found out. */
  readonly unknown: readonly string[]
  /** Of its state file. */
  readonly stateBytes: number
  /** Its machine; undefined: it could not be read. */
  readonly now?: Reading
}

async function lookAtGuest({ definition, qemu }: Vm): Promise<GuestLook> {
  const { name } = definition
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.connect(vmPaths(name).qmp, QMP_TIMEOUT_MS)
    const { status } = await runStatus(qmp)
    if (!SAVEABLE.includes(status)) return unfit(`the guest is in state '${status}'`)
    await setCprReboot(qmp, true)
    const blocked = await blockedReasons(qmp)
    await setCprReboot(qmp, false)
    const now = await readMachine(qmp)
    const start = qemu && readingAtStart(name, qemu)
    return {
      problems: [
        ...blocked.map((reason) => `cannot be saved: ${reason}`),
        ...changes(definition, start, now),
        ...(qemu !== undefined && isOurNetwork(qemu.pid) ? lookAtTaps(now).problems : []),
      ],
      unknown: start === undefined ? [NOT_READ] : [],
      stateBytes: STATE_BYTES + streamedBytes(now.ram),
      now,
    }
  } catch (error) {
    return unfit(errorText(error))
  } finally {
    qmp?.close()
  }
}

const unfit = (problem: string): GuestLook => ({ problems: [problem], unknown: [], stateBytes: STATE_BYTES })

/** In the order in which they are saved: who comes too late for the room that is there is named. */
function checkSpace(guests: readonly { readonly vm: Vm; readonly stateBytes: number }[]): Finding[] {
  const mountPoints = Map.groupBy(guests, ({ vm }) => vm.definition.mountPoint)
  return [...mountPoints].flatMap(([mountPoint, theirs]) => {
    if (isFrozen(mountPoint)) return [fail(mountPoint, `${mountPoint} is frozen: 'guestmemfs thaw' it first`)]
    const { bavail, bsize } = statfsSync(mountPoint)
    let freeBytes = bavail * bsize
    return theirs.flatMap(({ vm, stateBytes }) => {
      const isRoom = freeBytes >= stateBytes
      if (isRoom) freeBytes -= stateBytes
      return isRoom ? [] : [noRoom(vm, stateBytes, freeBytes)]
    })
  })
}

function noRoom({ definition }: Vm, stateBytes: number, freeBytes: number): Finding {
  const { name, mountPoint } = definition
  const [needed, free] = [stateBytes, freeBytes].map((bytes) => formatSize(bytes))
  return fail(
    subjectOf(definition),
    `VM ${name}: ${mountPoint} has no room for its state: it takes up to ${needed}, ${free} are free`,
  )
}
