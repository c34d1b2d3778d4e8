/**
 * Checks, before a guest is stopped, that each can be saved and loaded into its next QEMU. Must not: change
 * anything that lasts.
 */
import { machineFacts } from '../../qemu/carry/machine-facts.ts'
import { type NextLine, nextLine, type TriedLines } from '../../qemu/carry/next-line.ts'
import { parseCommandLine, printArguments } from '../../qemu/command-line.ts'
import { nodeRemarks } from '../../qemu/host-nodes.ts'
import { type IvshmemAddress, readIvshmemAddresses } from '../../qemu/ivshmem-addresses.ts'
import { askOnce } from '../../qemu/machine/ask.ts'
import { confidentialProblems } from '../../qemu/machine/confidential-guest.ts'
import { checkHelpers } from '../../qemu/machine/helpers.ts'
import { readingAtStart, readingProblem } from '../../qemu/machine/kept-reading.ts'
import { unexplainedFiles } from '../../qemu/machine/open-descriptors.ts'
import { streamedBytes } from '../../qemu/machine/ram-blocks.ts'
import { readMachine } from '../../qemu/machine/read-machine.ts'
import type { Reading } from '../../qemu/machine/reading.ts'
import { unreportedRemarks } from '../../qemu/machine/unreported.ts'
import type { RunStatus } from '../../qemu/migration.ts'
import { isOurNetwork, type NextStart, otherNamespaces, sharesNamespaces } from '../../qemu/namespaces.ts'
import type { QemuVersion } from '../../qemu/qemu-version.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { checkSleep } from '../../qemu/sleep/check-sleep.ts'
import { unitProblems } from '../../qemu/start/guest-unit.ts'
import { checkTaps } from '../../qemu/taps.ts'
import { type BlockSizes, readBlockSizes } from '../../qemu/trial/block-sizes.ts'
import { type GuestProcessor, readProcessor } from '../../qemu/trial/processor.ts'
import { type Trial, tryNextQemu } from '../../qemu/trial/try-next-qemu.ts'
import { withBinary } from '../../qemu/vm-command-line.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { vmPaths } from '../../run/vm-runtime.ts'
import { formatTimeout } from '../../values/duration.ts'
import { errorText } from '../../values/errors.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { Limit } from '../../values/limit.ts'
import { PMD_BYTES } from '../../values/units.ts'
import { checkStateSpace } from './check-state-space.ts'
import { examineVmm } from './check-vmm.ts'
import { NextPrograms } from './next-programs.ts'
import { checkPrivateRam } from './private-ram.ts'
import { ramProblems } from './ram-problems.ts'
import { whyBlocked } from './why-blocked.ts'

/** A state file takes at least one block of the pool. */
const STATE_BYTES = PMD_BYTES
const QMP_TIMEOUT_MS = 5_000
/**
 * For all queries of its machine together, however often QEMU answers: other guests wait for their update.
 */
const LOOK_TIMEOUT_MS = 20_000
/**
 * Each has hundreds of answers read by this one process: of a hundred guests at once the last ones would be
 * late, however quickly their QEMUs answer.
 */
const LOOKS_AT_ONCE = 4
/** Each starts a QEMU that builds a machine, and takes processor time from guests. */
const TRIALS_AT_ONCE = 2
/** Of a guest that is refused. */
const NOT_TRIED: Trial = { problems: [], remarks: [], unproven: ['it is refused'], without: [] }
/** A former version started it, or /run was full. */
const NOT_READ =
  'its machine was not read when it started: whether devices, disks or networks were changed while it ran is not known'

const SIZES_NOT_READ = 'its QEMU does not report the sizes of its ROMs: the next one may refuse it for one'

export interface GuestCheck {
  /** Errors: why a guest cannot be updated; warnings: what is not known of it. */
  readonly findings: readonly Finding[]
  /** Of the guests whose machine could be read. */
  readonly lines: TriedLines
  /** Names of guests that do not run, which stay so. */
  readonly paused: readonly string[]
}

export async function checkGuests(
  vms: readonly Vm[],
  nextQemu: string | undefined,
  next: NextStart,
): Promise<GuestCheck> {
  const programs = new NextPrograms(nextQemu)
  const [looks, trials] = [new Limit(LOOKS_AT_ONCE), new Limit(TRIALS_AT_ONCE)]
  const found = await Promise.all(
    vms.map(async (vm) => {
      const {
        problems,
        unknown,
        stateBytes,
        machine,
        state,
        sleeps = false,
      } = await looks.run(() => examine(vm, nextQemu, next))
      const isQemu = vm.definition.vmm === undefined
      const isSavedSuspended = sleeps || state?.status === 'suspended'
      const lines = [
        ...ramProblems(withNextRamFiles(vm.definition, machine)),
        ...(isQemu ? await programs.problems(vm.definition, isSavedSuspended) : []),
        ...(vm.qemu === undefined ? [] : otherNamespaces(vm.qemu.pid, next)),
        ...(vm.qemu === undefined || next !== 'here' || !isQemu ? [] : unitProblems(vm.qemu.pid)),
      ]
      const subject = subjectOf(vm.definition)
      const isFit = machine !== undefined && lines.length + problems.length === 0
      const trial = isFit ? await trials.run(() => tryNext(vm, nextQemu, machine)) : NOT_TRIED
      const findings = [
        ...[...lines, ...problems, ...(isFit ? trialProblems(trial, machine) : [])].map((line) =>
          fail(subject, `${subject}: ${line}`),
        ),
        ...[
          ...unknown,
          ...carriedRemarks(vm.definition, machine),
          ...(machine?.line.notes ?? []),
          ...(machine === undefined ? [] : nodeRemarks(machine.line)),
          ...(isFit ? untried(trial) : []),
        ].map((line) => warn(subject, `${subject}: ${line}`)),
      ]
      return { vm, findings, stateBytes, machine, state, sleeps, isSavedSuspended, trial }
    }),
  )
  return {
    findings: [...found.flatMap(({ findings }) => findings), ...checkStateSpace(found)],
    lines: new Map(
      found.flatMap(({ vm, machine, sleeps, isSavedSuspended, trial: { unproven } }) => {
        if (machine === undefined) return []
        const { line, facts } = machine
        const { argv, ramFiles, plugged } = line
        const tried = { argv, ramFiles, plugged, facts, unproven, sleeps, isSavedSuspended }
        return [[vm.definition.name, tried] as const]
      }),
    ),
    paused: found.flatMap(({ vm, state }) => (state?.running === false ? vm.definition.name : [])),
  }
}

/** The subject of a finding about this guest alone. */
export const subjectOf = ({ name }: Pick<VmDefinition, 'name'>): string => `VM ${name}`

/** With those RAM files on record that the next QEMU has, too: the others were unplugged, and may be gone. */
function withNextRamFiles(definition: VmDefinition, machine: Machine | undefined): VmDefinition {
  const next = machine?.line.ramFiles ?? definition.ramFiles
  const ramFiles = definition.ramFiles.filter(({ path }) => next.some((file) => file.path === path))
  return { ...definition, ramFiles }
}

async function tryNext(
  { definition, qemu }: Vm,
  nextQemu: string | undefined,
  { now, line, ...rest }: Machine,
): Promise<Trial> {
  // The next QEMU is started in those namespaces, and the trial is not.
  if (qemu === undefined || !sharesNamespaces(qemu.pid))
    return { ...NOT_TRIED, unproven: ['other namespaces'] }
  const next = { ...definition, ramFiles: line.ramFiles }
  const program = `/proc/${qemu.pid}/exe`
  const running = { ...rest, now, plugged: line.plugged, program }
  return await tryNextQemu(next, withBinary(line.argv, nextQemu), running)
}

/**
 * A line with changes is used only if a trial has shown that it makes the same machine. So is the recorded
 * line where no reading shows what was changed.
 */
function trialProblems({ problems, unproven }: Trial, { isRead, line }: Machine): string[] {
  if (unproven.length === 0 || (isRead && !line.carries)) return [...problems]
  const untried = `cannot be tried: ${unproven.join(', ')}`
  return [
    ...problems,
    isRead
      ? `it was changed while it ran, and a next QEMU with the changes ${untried}`
      : `its machine was not read when it started, and its next QEMU ${untried}: nothing would show that its disks and devices are still those of its line: end the guest and start it by 'guestmemfs run'`,
  ]
}

/** Arguments that the next line has in addition to the recorded one, and those that it lacks. */
function carriedRemarks({ argv }: VmDefinition, machine: Machine | undefined): string[] {
  if (!machine?.line.carries) return []
  const printed = (line: readonly string[]): string[] => printArguments(parseCommandLine(line))
  const [before, after] = [printed(argv), printed(machine.line.argv)]
  const more = after.filter((words) => !before.includes(words))
  const less = before.filter((words) => !after.includes(words)).map((words) => `without ${words}`)
  return [
    `it was changed while it ran; its next QEMU is started ${[...more.map((words) => `with ${words}`), ...less].join(', ')}`,
  ]
}

const untried = ({ remarks, unproven, without }: Trial): string[] => [
  ...remarks,
  ...(unproven.length === 0 ? [] : [`its next QEMU was not tried beside it: ${unproven.join(', ')}`]),
  ...(without.length === 0 ? [] : [`its next QEMU was tried without ${without.join(', ')}`]),
]

interface GuestFacts {
  readonly problems: readonly string[]
  /** What could not be read, one line each. */
  readonly unknown: readonly string[]
  /** The most that its state file may take. */
  readonly stateBytes: number
  readonly state?: RunStatus
  /** undefined: it could not be read. */
  readonly machine?: Machine
  readonly sleeps?: boolean
}

interface Machine {
  readonly now: Reading
  /** And when it started, too. */
  readonly isRead: boolean
  readonly line: NextLine
  /** Facts that must be equal in the next QEMU. */
  readonly facts: readonly string[]
  /** Where the guest has the memory of each ivshmem. */
  readonly ivshmems: readonly IvshmemAddress[]
  readonly blocks: BlockSizes
  readonly processor: GuestProcessor
  readonly version: QemuVersion
}

const examine = async (vm: Vm, nextQemu: string | undefined, next: NextStart): Promise<GuestFacts> =>
  vm.definition.vmm === undefined
    ? await examineQemu(vm)
    : { ...(await examineVmm(vm, nextQemu, next)), stateBytes: STATE_BYTES }

async function examineQemu({ definition, qemu }: Vm): Promise<GuestFacts> {
  const { name } = definition
  const damaged = readingProblem(name)
  if (damaged !== undefined) return unfit(damaged)
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.connect(vmPaths(name).qmp, QMP_TIMEOUT_MS)
    qmp.patienceMs = QMP_TIMEOUT_MS
    const blocked = await whyBlocked(definition, qmp)
    qmp.endWithin(
      LOOK_TIMEOUT_MS,
      `its QEMU has not described its machine within ${formatTimeout(LOOK_TIMEOUT_MS)}`,
    )
    const ask = askOnce(qmp)
    const now = await readMachine(qmp, ask)
    const start = qemu && readingAtStart(name, qemu)
    const { version } = qmp
    const pid = qemu?.pid ?? 0
    const line = await nextLine({ definition, ask, pid, start, now })
    const [confidential, facts, helpers, unreported, ivshmems, blocks, processor, sleep] = await Promise.all([
      confidentialProblems(ask),
      machineFacts(ask, line.plugged),
      checkHelpers(ask, definition, now),
      unreportedRemarks(ask, definition, now),
      readIvshmemAddresses(ask),
      readBlockSizes(ask),
      readProcessor(ask),
      checkSleep(qmp, { definition, pid, version, now }),
    ])
    const bytes = streamedBytes(now.ram)
    const ofPrivate = checkPrivateRam(bytes, STATE_BYTES)
    return {
      problems: [
        ...confidential,
        ...blocked.reasons.map((reason) => `cannot be saved: ${reason}`),
        ...helpers.problems,
        ...sleep.problems,
        ...line.refused,
        ...ofPrivate.problems,
        ...(qemu !== undefined && isOurNetwork(qemu.pid) ? checkTaps(now).problems : []),
      ],
      unknown: [
        ...blocked.remarks,
        ...(start === undefined ? [NOT_READ] : []),
        ...helpers.remarks,
        ...sleep.remarks,
        ...unreported,
        ...(qemu === undefined ? [] : unexplainedFiles(qemu.pid, definition.argv, now)),
        ...(blocks.size === 0 ? [SIZES_NOT_READ] : []),
        ...ofPrivate.remarks,
      ],
      stateBytes: STATE_BYTES + bytes,
      state: blocked.state,
      sleeps: sleep.sleeps,
      machine: { now, isRead: start !== undefined, line, facts, ivshmems, blocks, processor, version },
    }
  } catch (error) {
    return unfit(errorText(error))
  } finally {
    qmp?.close()
  }
}

const unfit = (problem: string): GuestFacts => ({ problems: [problem], unknown: [], stateBytes: STATE_BYTES })
