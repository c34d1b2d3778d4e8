/**
 * The save of one guest: virtual CPUs stopped, device state in a file, guest RAM where it is. Until QEMU is
 * told to quit, `cancelMigration` undoes the save; a failure in `saveGuest` does so by itself.
 */
import { errorText, QemuError } from '../values/errors.ts'
import { eventTime } from './event-time.ts'
import { awaitMigration, fileChannels, runStatus } from './migration.ts'
import { type MigrationSettings, setMigration, setOurs } from './migration-settings.ts'
import type { QmpClient } from './qmp-client.ts'
import { measureStateFile, type SavedState } from './saved-state.ts'

/** States of QEMU from which a guest can be saved and later continued. */
export const SAVEABLE = ['running', 'paused', 'suspended']
const CANCEL_TIMEOUT_MS = 5_000

/** The guest is still in its QEMU, stopped, and could not be continued. */
export class GuestStoppedError extends QemuError {}

/**
 * `path`: a file QEMU may write. `migration`: what a person has set, and gets back if it fails. On success
 * QEMU is in state `postmigrate`. Errors (QemuError, CorruptBytesError): the reason; the guest is running
 * again if it ran before. GuestStoppedError: it is not.
 */
export async function saveGuest(
  qmp: QmpClient,
  path: string,
  migration: MigrationSettings,
  timeoutMs: number,
): Promise<SavedState> {
  const before = await runStatus(qmp)
  if (!SAVEABLE.includes(before.status)) throw new QemuError(`the guest is in state '${before.status}'`)
  const startedAtMs = Date.now()
  try {
    await setOurs(qmp, 'save')
    qmp.forgetEvents()
    await qmp.execute('migrate', fileChannels(path))
    await awaitMigration(qmp, timeoutMs)
    return {
      path,
      ...measureStateFile(path),
      wasRunning: before.running,
      stoppedAtMs: eventTime(qmp.takeEvent('STOP'), startedAtMs),
      qemuVersion: qmp.version,
    }
  } catch (error) {
    await continueAfter(qmp, before.running, migration, error)
    throw error
  }
}

/**
 * Brings the guest back to its state before `saveGuest`, at any point of it or after it. The caller has made
 * sure that no process will load the file. `migration`: what a person had set; undefined: it is not known.
 */
export async function cancelMigration(
  qmp: QmpClient,
  wasRunning: boolean,
  migration: MigrationSettings | undefined,
): Promise<void> {
  await qmp.execute('migrate_cancel')
  const deadline = performance.now() + CANCEL_TIMEOUT_MS
  while ((await runStatus(qmp)).status === 'finish-migrate') {
    if (performance.now() > deadline) throw new QemuError('the migration could not be cancelled')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  if (wasRunning && !(await runStatus(qmp)).running) await qmp.execute('cont')
  await setMigration(qmp, migration)
}

/**
 * Continues a guest whose save failed with `error`. Throws GuestStoppedError where that fails, too: the guest
 * is stopped, and the caller must report it.
 */
export async function continueAfter(
  qmp: QmpClient,
  wasRunning: boolean,
  migration: MigrationSettings | undefined,
  error: unknown,
): Promise<void> {
  try {
    await cancelMigration(qmp, wasRunning, migration)
  } catch (cause) {
    throw new GuestStoppedError(`${errorText(error)}; and it could not be continued: ${errorText(cause)}`, {
      cause,
    })
  }
}
