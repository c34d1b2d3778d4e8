/**
 * The end of one VM's old QEMU in an update: save the guest, put it on record as saved, end the QEMU. A
 * failure before QEMU gets `quit` undoes all of it; GuestStoppedError: but the guest could not be continued.
 */
import { cgroupOf } from '../linux/cgroup.ts'
import { readProcessLimits } from '../linux/process-limits.ts'
import { isAlive, type ProcessIdentity } from '../run/process-identity.ts'
import { readRuntime } from '../run/vm-runtime.ts'
import { errorText, QemuError } from '../values/errors.ts'
import { firstOther, machineFacts } from './carry/machine-facts.ts'
import { nextLine, type TriedLine } from './carry/next-line.ts'
import { quitSaved } from './end-qemu.ts'
import { readHostFiles } from './host-files.ts'
import { readIvshmemAddresses } from './ivshmem-addresses.ts'
import { askOnce } from './machine/ask.ts'
import { readingAtStart } from './machine/kept-reading.ts'
import { readMachine } from './machine/read-machine.ts'
import { readThreads } from './machine/threads.ts'
import { runStatus, statusAtRest } from './migration.ts'
import { operatorsMigration } from './migration-settings.ts'
import { isOurNetwork } from './namespaces.ts'
import type { QmpClient } from './qmp-client.ts'
import { claimRam, newClaim, releaseRam } from './ram-claims.ts'
import { cancelMigration, checkStillSaved, continueAfter, GuestStoppedError, saveGuest } from './save.ts'
import { createStateFile, removeStateFile, type SavedState } from './saved-state.ts'
import { type Asleep, checkCanContinue, goesOnFrom } from './sleep/goes-on.ts'
import { putToSleep, wakeAfter } from './sleep/put-to-sleep.ts'
import { checkTaps } from './taps.ts'
import { withBinary } from './vm-command-line.ts'
import {
  asBeforeUpdate,
  endUpdate,
  isWoken,
  unendedUpdate,
  type VmDefinition,
  writeDefinition,
} from './vm-definition.ts'

export interface SaveRequest {
  readonly definition: VmDefinition
  readonly qmp: QmpClient
  readonly qemu: ProcessIdentity
  /** What the preflight found; undefined: it read no machine. */
  readonly tried: TriedLine | undefined
  /** Of a guest that its agent has suspended by now; left out: it is, where `tried` says so. */
  readonly asleep?: Asleep | undefined
  /** Absolute path of another program; undefined: the recorded one. */
  readonly nextQemu: string | undefined
  readonly timeoutMs: number
  /** Called as each step is done; 'stop' with the time a running guest stopped. */
  readonly onStep: (step: 'stop' | 'save' | 'quit', atMs?: number) => void
}

/**
 * Returns the definition on record: that of a saved guest, whose QEMU is gone. Errors (QemuError,
 * CorruptBytesError, UsageError).
 */
export async function saveAndQuit(request: SaveRequest): Promise<VmDefinition> {
  const { qmp, qemu } = request
  const next = await saveGuestState(request)
  try {
    await checkNotContinued(qmp, qemu)
  } catch (error) {
    return await continueAfter(qmp, (live) => cancelSave(next, live, next.saved as SavedState), error)
  }
  await quitSaved(request.definition, qmp, qemu, request.timeoutMs)
  request.onStep('quit')
  return next
}

/**
 * The last look at a saved guest's old QEMU, before it ends or its successor gets the guest. One that has
 * ended is no error: the guest is saved. Errors (QemuError): as of `checkStillSaved`.
 */
export async function checkNotContinued(qmp: QmpClient, qemu: ProcessIdentity): Promise<void> {
  try {
    await qmp.withConnection(checkStillSaved)
  } catch (error) {
    if (isAlive(qemu)) throw error
  }
}

/**
 * All but the last step: the guest is saved and on record, and its stopped QEMU can still continue it
 * (`cancelSave`). Errors as of `saveAndQuit`; then the guest is as it was before, unless it is a
 * GuestStoppedError.
 */
export async function saveGuestState(request: SaveRequest): Promise<VmDefinition> {
  const { definition, qmp, tried } = request
  const isAsked = request.asleep === undefined && tried?.sleeps === true && (await runStatus(qmp)).running
  const asleep = isAsked ? await putToSleep(request) : request.asleep
  const save = saveNow({ ...request, asleep })
  return asleep === undefined ? await save : await save.catch((error) => wakeAfter(qmp, definition, error))
}

async function saveNow(request: SaveRequest): Promise<VmDefinition> {
  const { definition, qmp, qemu, tried, asleep, nextQemu, timeoutMs, onStep } = request
  const line = tried?.argv ?? definition.argv
  const { statePath, uid, gid } = definition
  const [now, migration] = await Promise.all([runStatus(qmp), operatorsMigration(qmp)])
  const goesOn = goesOnFrom(now, asleep)
  const { wasRunning, wakes, wasSuspended } = goesOn
  const unended = unendedUpdate(definition, now.running || wakes)
  if (unended !== undefined) throw new QemuError(unended)
  // QEMU saves a paused guest only once: then it is in state 'postmigrate' until the operator continues it. A
  // suspended one it cannot continue then.
  const known = !wasRunning || wasSuspended ? await readUnchanged(request) : undefined
  const ram = nextRam(definition, tried)
  const added = ram.ramFiles.filter(({ path }) => !definition.ramFiles.some((file) => file.path === path))
  const sleep = asleep && { sleep: { askedAtMs: asleep.askedAtMs } }
  // While the guest runs: the save finds the same machine.
  const argv = withBinary(line, nextQemu)
  const hostFiles = readHostFiles(qemu.pid, { ...definition, argv })
  const former = formerOf(definition, argv, ram)
  const update = { wasRunning, migration, ...sleep }
  const suspended = { underUpdate: { ...update, ...former, isSuspended: true } }
  const begun: VmDefinition = {
    ...definition,
    hostFiles,
    // QEMU cannot continue it once it is saved: the record has all that another one needs.
    ...(wasSuspended ? { ...known, ...ram, argv, ...suspended } : { underUpdate: update }),
    saved: null,
  }
  if (!isEqual(ram.ramFiles, definition.ramFiles)) claimRam({ ...definition, ...ram })
  const save = async (): Promise<SavedState> => {
    // In this order: a state file that a killed command leaves is found by the record.
    writeDefinition(begun)
    createStateFile(statePath, { uid, gid })
    return await saveGuest(qmp, statePath, migration, timeoutMs, asleep)
  }
  const saved = await save().catch((error: unknown) => {
    // Its state may be complete: `resume` has another QEMU load it.
    if (wasSuspended && error instanceof GuestStoppedError) throw error
    removeStateFile(statePath)
    releaseRam(ram, added)
    // One that was suspended for it is woken first (`wakeAfter`).
    if (!wakes && !(error instanceof GuestStoppedError)) endUpdate(definition)
    throw error
  })
  if (saved.wasRunning) onStep('stop', saved.stoppedAtMs)
  let next: VmDefinition
  try {
    const found = await readUnchanged(request)
    next = {
      ...begun,
      ...found,
      ...ram,
      argv,
      underUpdate: { ...update, ...former },
      ...(saved.isSuspended && suspended),
      saved,
    }
    writeDefinition(next)
  } catch (error) {
    // On any error: the guest is stopped, and no other process continues it.
    if (saved.isSuspended) {
      if (!wasSuspended) writeDefinition({ ...begun, ...ram, argv, ...suspended })
      throw new GuestStoppedError(errorText(error), { cause: error })
    }
    removeStateFile(statePath)
    releaseRam(ram, added)
    const undo = (live: QmpClient) => cancelMigration(live, goesOn, migration)
    return await continueAfter(qmp, undo, error, () => endUpdate(definition))
  }
  onStep('save')
  return next
}

type Ram = Pick<VmDefinition, 'ramFiles' | 'claim'>

/**
 * RAM files and claim of the next QEMU. A file that was plugged gets its claim before the record names it;
 * the guest is paused.
 */
function nextRam({ ramFiles: former, claim }: VmDefinition, tried: TriedLine | undefined): Ram {
  const ramFiles = tried?.ramFiles ?? former
  return { ramFiles, claim: claim ?? (isEqual(ramFiles, former) ? undefined : newClaim()) }
}

const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Line and RAM of the QEMU that still has the guest, where the next QEMU gets others. */
const formerOf = ({ argv, ramFiles }: VmDefinition, next: readonly string[], ram: Ram) => ({
  ...(!isEqual(argv, next) && { argv }),
  ...(!isEqual(ramFiles, ram.ramFiles) && { ramFiles }),
})

/**
 * Compares the machine with the one that the preflight read: the guest is stopped, so the operator cannot
 * change it from here on. Returns what the next QEMU must have besides its line. Errors (QemuError,
 * UsageError): the machine was changed.
 */
async function readUnchanged({
  definition,
  qmp,
  qemu,
  tried,
}: SaveRequest): Promise<
  Pick<VmDefinition, 'taps' | 'settings' | 'threads' | 'limits' | 'movedTo' | 'windows'>
> {
  const ask = askOnce(qmp)
  const [now, threads, ivshmems, facts] = await Promise.all([
    readMachine(qmp, ask),
    readThreads(qmp, qemu.pid),
    readIvshmemAddresses(ask),
    tried === undefined ? [] : machineFacts(ask, tried.plugged),
  ])
  const start = readingAtStart(definition.name, qemu)
  const { refused, argv, ramFiles, carries } = await nextLine({ definition, ask, pid: qemu.pid, start, now })
  const [changed] = refused
  if (changed !== undefined) throw new QemuError(changed)
  const isSame =
    tried === undefined
      ? !carries
      : isEqual(argv, tried.argv) &&
        isEqual(ramFiles, tried.ramFiles) &&
        firstOther(tried.facts, facts) === undefined
  // An unchanged line proves nothing: the facts hold what no line can express.
  if (!isSame) throw new QemuError('its machine was changed while the update was under way: try again')
  return {
    taps: isOurNetwork(qemu.pid) ? [...checkTaps(now).taps] : [],
    settings: now.settings,
    threads,
    windows: ivshmems.length > 0 ? ivshmems : undefined,
    limits: readProcessLimits(qemu.pid),
    movedTo: movedTo(definition, qemu.pid),
  }
}

/** undefined: it is where its start has put it. */
function movedTo({ name, cgroup }: VmDefinition, pid: number): string | undefined {
  const now = cgroupOf(pid)
  return now === (readRuntime(name)?.cgroup ?? cgroup) ? undefined : now
}

/**
 * Undoes a finished save whose QEMU still runs. The record first: once the guest runs again, the state file
 * must not be found. Returns what is not as it was, one line; undefined: all is. Errors: QemuError;
 * NeedsAnotherQemuError: the guest is saved as before.
 */
export async function cancelSave(
  definition: VmDefinition,
  qmp: QmpClient,
  saved: SavedState,
): Promise<string | undefined> {
  const { wasRunning, isSuspended: wasSuspended = false } = saved
  checkCanContinue(await statusAtRest(qmp), wasSuspended)
  const former = asBeforeUpdate(definition)
  writeDefinition(former)
  removeStateFile(saved.path)
  const goesOn = { wasRunning, wakes: isWoken(definition), wasSuspended }
  const left = await cancelMigration(qmp, goesOn, definition.underUpdate?.migration)
  endUpdate(former)
  return left
}
