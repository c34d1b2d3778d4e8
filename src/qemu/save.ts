/**
 * The save of one guest: virtual CPUs stopped, device state in a file, guest RAM where it is. Until QEMU gets
 * `quit`, `cancelMigration` undoes the save; a failure in `saveGuest` does so by itself.
 */
import { errorText, QemuError } from '../values/errors.ts'
import { eventTime } from './event-time.ts'
import { awaitMigration, fileChannels, type RunStatus, runStatus, statusAtRest } from './migration.ts'
import { type MigrationSettings, setMigration, setOurs } from './migration-settings.ts'
import type { QemuVersion } from './qemu-version.ts'
import type { QmpClient } from './qmp-client.ts'
import type { QmpCommands } from './qmp-commands.ts'
import { measureStateFile, type SavedState } from './saved-state.ts'
import { type Asleep, type GoesOn, goesOnFrom, goOn, keepsSuspended } from './sleep/goes-on.ts'

/** States of QEMU from which a guest can be saved and later continued. */
const SAVEABLE = ['running', 'paused', 'suspended']

/** The guest is still in its QEMU, stopped, and could not be continued. */
export class GuestStoppedError extends QemuError {}

/** Why a guest in this state cannot be saved; undefined: it can be. `version`: of its QEMU. */
export function stateProblem({ status }: RunStatus, version: QemuVersion): string | undefined {
  if (!SAVEABLE.includes(status)) return `the guest is in state '${status}'`
  if (status !== 'suspended' || keepsSuspended(version)) return undefined
  return `the guest is suspended, and QEMU ${version} would not keep it so: wake it ('system_wakeup') first`
}

/**
 * `path`: a file QEMU may write. `migration`: what the operator has set, which is set again if the save
 * fails. `asleep`: of a guest that its agent has suspended for this. On success QEMU is in state
 * `postmigrate`. Errors (QemuError, CorruptBytesError): the reason; the guest is running again if it ran
 * before. GuestStoppedError: it is not.
 */
export async function saveGuest(
  qmp: QmpClient,
  path: string,
  migration: MigrationSettings,
  timeoutMs: number,
  asleep?: Asleep,
): Promise<SavedState> {
  qmp.dropEvents()
  const before = await runStatus(qmp)
  const problem = stateProblem(before, qmp.version)
  if (problem !== undefined) throw new QemuError(problem)
  let goesOn = goesOnFrom(before, asleep)
  const startedAtMs = Date.now()
  try {
    await setOurs(qmp, 'save')
    await qmp.execute('migrate', fileChannels(path))
    await awaitMigration(qmp, timeoutMs)
    // It suspended itself after the look, and did not wake before it was stopped.
    const isSince = takeEvents(qmp, 'SUSPEND') > takeEvents(qmp, 'WAKEUP')
    goesOn = { ...goesOn, wasSuspended: goesOn.wasSuspended || isSince }
    return {
      path,
      ...(await measureStateFile(path, qmp.leftMs(timeoutMs))),
      wasRunning: goesOn.wasRunning,
      stoppedAtMs: asleep?.sinceMs ?? eventTime(qmp.takeEvent('STOP'), startedAtMs),
      qemuVersion: qmp.version,
      ...(goesOn.wasSuspended && { isSuspended: true }),
    }
  } catch (error) {
    return await continueAfter(qmp, (live) => cancelMigration(live, goesOn, migration), error)
  }
}

/** How many of them QEMU has sent. */
function takeEvents(qmp: QmpClient, name: string): number {
  let count = 0
  while (qmp.takeEvent(name) !== undefined) count++
  return count
}

/**
 * Right before the QEMU of a saved guest ends, at the last moment at which its save can be undone: any other
 * client of that QEMU may `cont` it. Errors (QemuError): it ran since, and its state is older than its RAM
 * and its disks, or QEMU does not answer.
 */
export async function checkStillSaved(qmp: QmpCommands): Promise<void> {
  const { status, running } = await statusAtRest(qmp)
  // Once a guest has run it gets there by another migration alone.
  if (status !== 'postmigrate' || running)
    throw new QemuError(`another client of its QEMU has continued it since it was saved (state '${status}')`)
}

/**
 * Of a guest that was paused, and whose save had been completed before it was undone. QEMU has no way from
 * `postmigrate` back to `paused` but by running the guest (runstate_transitions_def, system/runstate.c).
 */
const NOT_PAUSED =
  "it was paused before, and is in QEMU's state 'postmigrate' now: it stays stopped, but cannot be saved again before it was continued ('cont', then 'stop')"

/**
 * Brings the guest back to its state before `saveGuest`, at any point of it or after it. The caller has made
 * sure that no process will load the file. `migration`: what the operator had set; undefined: it is not
 * known. Returns what is not as it was, one line; undefined: all is. Errors: QemuError.
 */
export async function cancelMigration(
  qmp: QmpClient,
  goesOn: GoesOn,
  migration: MigrationSettings | undefined,
): Promise<string | undefined> {
  await qmp.execute('migrate_cancel')
  const now = await statusAtRest(qmp)
  await goOn(qmp, goesOn, now)
  const refused = await setMigration(qmp, migration)
  const left = [...(!goesOn.wasRunning && now.status === 'postmigrate' ? [NOT_PAUSED] : []), ...refused]
  return left.length === 0 ? undefined : left.join('; ')
}

/**
 * Continues a guest by `undo`, such as `cancelMigration`, after its update failed with `error`, and throws:
 * that error, with what is not as it was before the save; GuestStoppedError where the guest cannot be
 * continued: it is stopped, and the caller must report it. `onContinued` is called before the former is
 * thrown.
 */
export async function continueAfter(
  qmp: QmpClient,
  undo: (live: QmpClient) => Promise<string | undefined>,
  error: unknown,
  onContinued: () => void = () => {},
): Promise<never> {
  let left: string | undefined
  try {
    left = await qmp.withConnection(undo)
  } catch (cause) {
    const [why, whyNot] = [errorText(error), errorText(cause)]
    throw new GuestStoppedError(why === whyNot ? why : `${why}; and it could not be continued: ${whyNot}`, {
      cause,
    })
  }
  onContinued()
  throw left === undefined ? error : new QemuError(`${errorText(error)}; ${left}`, { cause: error })
}
