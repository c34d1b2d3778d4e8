/**
 * The save of one guest: virtual CPUs stopped, device state in a file, guest RAM where it is. Until QEMU gets
 * `quit`, `cancelMigration` undoes the save; a failure in `saveGuest` does so by itself.
 */
import { errorText, QemuError } from '../values/errors.ts'
import { eventTime } from './event-time.ts'
import { awaitMigration, fileChannels, runStatus, runsOrSuspends } from './migration.ts'
import { type MigrationSettings, setMigration, setOurs } from './migration-settings.ts'
import type { QmpClient } from './qmp-client.ts'
import type { QmpCommands } from './qmp-commands.ts'
import { measureStateFile, type SavedState } from './saved-state.ts'

/** States of QEMU from which a guest can be saved and later continued. */
export const SAVEABLE = ['running', 'paused', 'suspended']
const CANCEL_TIMEOUT_MS = 5_000

/** The guest is still in its QEMU, stopped, and could not be continued. */
export class GuestStoppedError extends QemuError {}

/**
 * `path`: a file QEMU may write. `migration`: what the operator has set, which is set again if the save
 * fails. On success QEMU is in state `postmigrate`. Errors (QemuError, CorruptBytesError): the reason; the
 * guest is running again if it ran before. GuestStoppedError: it is not.
 */
export async function saveGuest(
  qmp: QmpClient,
  path: string,
  migration: MigrationSettings,
  timeoutMs: number,
): Promise<SavedState> {
  const before = await runStatus(qmp)
  if (!SAVEABLE.includes(before.status)) throw new QemuError(`the guest is in state '${before.status}'`)
  const wasRunning = runsOrSuspends(before)
  const startedAtMs = Date.now()
  try {
    await setOurs(qmp, 'save')
    qmp.dropEvents()
    await qmp.execute('migrate', fileChannels(path))
    await awaitMigration(qmp, timeoutMs)
    return {
      path,
      ...(await measureStateFile(path, qmp.leftMs(timeoutMs))),
      wasRunning,
      stoppedAtMs: eventTime(qmp.takeEvent('STOP'), startedAtMs),
      qemuVersion: qmp.version,
    }
  } catch (error) {
    return await continueAfter(qmp, (live) => cancelMigration(live, wasRunning, migration), error)
  }
}

/**
 * Right before the QEMU of a saved guest ends, at the last moment at which its save can be undone: any other
 * client of that QEMU may `cont` it. Errors (QemuError): it ran since, and its state is older than its RAM
 * and its disks, or QEMU does not answer.
 */
export async function checkStillSaved(qmp: QmpCommands): Promise<void> {
  const { status, running } = await runStatus(qmp)
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
  wasRunning: boolean,
  migration: MigrationSettings | undefined,
): Promise<string | undefined> {
  await qmp.execute('migrate_cancel')
  const deadline = performance.now() + CANCEL_TIMEOUT_MS
  while ((await runStatus(qmp)).status === 'finish-migrate') {
    if (performance.now() > deadline) throw new QemuError('the migration could not be cancelled')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { status, running } = await runStatus(qmp)
  if (wasRunning && !running) await qmp.execute('cont')
  const refused = await setMigration(qmp, migration)
  const left = [...(!wasRunning && status === 'postmigrate' ? [NOT_PAUSED] : []), ...refused]
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
