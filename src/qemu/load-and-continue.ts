/**
 * The load of a saved guest in the next QEMU, which is just being started: wait for its QMP, load the guest,
 * remove the saved state, let it run. In that order: after a crash, `resume` could load a state file that is
 * still on record over newer memory.
 */
import { joinCgroup } from '../linux/cgroup.ts'
import { type ProcessLimits, setProcessLimits } from '../linux/process-limits.ts'
import { liveQemu } from '../run/vm-runtime.ts'
import { errorText, QemuDisconnected, QemuError } from '../values/errors.ts'
import { errorOutputSince, markErrorOutput, type OutputMark } from './error-output.ts'
import { setIvshmemAddresses } from './ivshmem-addresses.ts'
import { readAfterLoad } from './machine/kept-reading.ts'
import { lostRam } from './machine/ram-blocks.ts'
import { readRam, readSettings } from './machine/read-machine.ts'
import type { RamBlock } from './machine/reading.ts'
import { type Settings, setAgain } from './machine/settings.ts'
import { setThreads } from './machine/threads.ts'
import { setMigration } from './migration-settings.ts'
import type { QmpClient } from './qmp-client.ts'
import { exchangedRam, releaseRam } from './ram-claims.ts'
import { continueGuest, loadGuest } from './restore.ts'
import { removeStateFile, type SavedState } from './saved-state.ts'
import { wakeGuest } from './sleep/goes-on.ts'
import { endUpdate, isWoken, ramFileOf, type VmDefinition, writeDefinition } from './vm-definition.ts'
import { type QmpWait, waitForQmp } from './wait-for-qmp.ts'
import { watchRunning } from './watch/watcher-client.ts'

export interface LoadRequest extends Omit<QmpWait, 'name'> {
  /** Its `saved` is not null. */
  readonly definition: VmDefinition
  /** Of QEMU's standard error; undefined: the VM's log. */
  readonly mark?: OutputMark | undefined
  /** Called as each step is done. */
  readonly onStep: (step: 'launch' | 'start' | 'load' | 'continue', atMs?: number) => void
}

/** A guest that goes on. */
export interface ContinuedGuest {
  /** As it is now on record. */
  readonly definition: VmDefinition
  /**
   * What is not as it was, a line each: settings that the command line does not hold and that could not be
   * set again. The guest runs without them.
   */
  readonly unset: readonly string[]
}

/**
 * Errors (QemuError, CorruptBytesError): `isLoaded` of the thrown `GuestLoadError` says whether the guest is
 * already in the next QEMU, and its saved state removed.
 */
export async function loadAndContinue(request: LoadRequest): Promise<ContinuedGuest> {
  const { definition, timeoutMs, onStep } = request
  const saved = definition.saved as SavedState
  let qmp: QmpClient | undefined
  let isLoaded = false
  const mark = request.mark ?? markErrorOutput(definition.name)
  try {
    qmp = await waitForQmp({ ...request, name: definition.name, onStarted: () => onStep('launch') })
    onStep('start')
    await setIvshmemAddresses(qmp, definition.windows ?? [])
    await loadGuest(qmp, saved, timeoutMs)
    const unset = await completeLoad(qmp, definition, liveQemu(definition.name, ramFileOf(definition))?.pid)
    onStep('load')
    const running = await continueLoaded({ ...request, qmp, unset }, () => {
      isLoaded = true
    })
    await watchRunning(definition)
    return running
  } catch (cause) {
    throw new GuestLoadError(cause, isLoaded, errorOutputSince(mark))
  } finally {
    qmp?.close()
  }
}

/**
 * Called when QEMU has loaded the guest's device state. `pid`: of that QEMU; undefined: not known. Checks
 * that QEMU maps all RAM from the files on record, and sets the guest's settings again; returns one line for
 * each that could not be set. `lostOf`: one line for each block that is not what is on record. Errors
 * (QemuError): QEMU maps other RAM, or does not answer; the saved state stays.
 */
export async function completeLoad(
  qmp: QmpClient,
  definition: VmDefinition,
  pid: number | undefined,
  lostOf = (ram: readonly RamBlock[]) => [...lostRam(ram, definition), ...exchangedRam(definition)],
): Promise<string[]> {
  const { settings, threads = [], limits, movedTo } = definition
  // At once: the guest is stopped.
  const [ram, unset, unscheduled] = await Promise.all([
    readRam(qmp),
    restoreSettings(qmp, settings),
    pid === undefined ? [] : setThreads(qmp, pid, threads),
  ])
  // Another file may have got the name of one since the preflight.
  const [lost] = lostOf(ram)
  if (lost !== undefined) throw new QemuError(lost)
  return [
    ...unset,
    ...unscheduled,
    ...(pid === undefined || limits === undefined ? [] : setLimits(pid, limits)),
    ...(pid === undefined || movedTo === undefined ? [] : moveAgain(pid, movedTo)),
  ]
}

/**
 * Sets again what a definition has recorded, if anything. Returns one line for each setting that could not be
 * set. Errors (QemuError): QEMU does not answer.
 */
export const restoreSettings = async (qmp: QmpClient, settings: Settings | undefined): Promise<string[]> =>
  settings === undefined ? [] : setAgain(qmp, settings, await readSettings(qmp))

const setLimits = (pid: number, wanted: ProcessLimits): string[] =>
  setProcessLimits(pid, wanted).map(([what, { name }]) => `its ${what} could not be set again: ${name}`)

function moveAgain(pid: number, cgroup: string): string[] {
  const failed = joinCgroup(pid, cgroup)
  return failed === undefined ? [] : [`its QEMU could not be put into cgroup ${cgroup} again: ${failed.name}`]
}

export interface LoadedGuest extends Pick<LoadRequest, 'definition' | 'onStep'> {
  readonly qmp: QmpClient
  /** What `completeLoad` returned. */
  readonly unset: readonly string[]
  /** The guest went on before its record could say so: its state has the mark, and it runs. */
  readonly hasGoneOn?: boolean
}

/**
 * Lets a guest run whose load is complete. `onRecorded`: the guest counts as running from there on. Errors:
 * QemuError.
 */
export async function continueLoaded(
  { qmp, definition, unset, hasGoneOn = false, onStep }: LoadedGuest,
  onRecorded: () => void = () => {},
): Promise<ContinuedGuest> {
  const saved = definition.saved as SavedState
  const { wasRunning } = saved
  const { migration, sleep } = definition.underUpdate ?? {}
  // From here on no QEMU loads the state file again; if this process dies now, `resume` finds `underUpdate`
  // and continues the guest.
  const loaded: VmDefinition = {
    ...definition,
    qemuVersion: qmp.version,
    underUpdate: { wasRunning, ...(migration && { migration }), ...(sleep && { sleep }) },
    saved: null,
  }
  writeDefinition(loaded)
  onRecorded()
  const wakes = isWoken(definition)
  const wasSuspended = saved.isSuspended === true
  const continued = hasGoneOn ? undefined : continueGuest(qmp, { wasRunning, wakes, wasSuspended })
  // The process of the early start may have ended after it let the guest go on, and before it woke it.
  if (hasGoneOn && wakes) await wakeGuest(qmp)
  // No record names the file any more, so no QEMU loads it: the guest need not wait for its removal.
  removeStateFile(saved.path)
  if (continued !== undefined) onStep('continue', await continued)
  // The guest runs: a connection that has failed does not change that, nor does an answer that is none.
  const refused = await qmp.withConnection((live) => setMigration(live, migration)).catch(stillSetForSave)
  const running = endUpdate(loaded)
  const former = definition.underUpdate?.ramFiles ?? []
  releaseRam(
    running,
    former.filter(({ path }) => !running.ramFiles.some((file) => file.path === path)),
  )
  // Without a reading the next preflight reports that there is none.
  await qmp.withConnection((live) => readAfterLoad(running, live)).catch(() => {})
  return { definition: running, unset: [...unset, ...refused] }
}

/** What is left to do for a guest that runs. Throws the error of a QEMU that has ended, or is ending. */
function stillSetForSave(error: unknown): string[] {
  if (!(error instanceof QemuError) || error instanceof QemuDisconnected) throw error
  return [
    `its QEMU may still be set for a save, and a migration to another host would leave its RAM out: ${errorText(error)}: 'guestmemfs resume' sets that right`,
  ]
}

export class GuestLoadError extends QemuError {
  readonly isLoaded: boolean

  /** `words`: what QEMU wrote to its standard error. */
  constructor(cause: unknown, isLoaded: boolean, words: string) {
    super(words === '' ? errorText(cause) : `${errorText(cause)} (QEMU: ${words})`, { cause })
    this.isLoaded = isLoaded
  }
}
