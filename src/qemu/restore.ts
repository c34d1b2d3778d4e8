/**
 * The other half of save: the next QEMU, which waits with `-S -incoming defer`, becomes the guest that was
 * saved. The guest does not run before `continueGuest`, so that the caller can first remove the state file:
 * loading it a second time, after the guest has changed its memory, would corrupt the guest.
 */
import { QemuError } from '../values/errors.ts'
import { eventTime } from './event-time.ts'
import { awaitMigration, fileChannels, migrationUnderWay, runStatus } from './migration.ts'
import { setOurs } from './migration-settings.ts'
import { compareVersions, type QemuVersion } from './qemu-version.ts'
import type { QmpClient } from './qmp-client.ts'
import type { QmpEvent } from './qmp-messages.ts'
import { checkStateFile, type SavedState } from './saved-state.ts'
import { type GoesOn, goOn, loadProblem } from './sleep/goes-on.ts'

/** QEMU sends the event before it answers `cont`. */
const RESUME_EVENT_MS = 1000
/** It resets all devices before it sends that of a guest that wakes, those of VFIO among them. */
const WAKEUP_EVENT_MS = 30_000

/** The first with `exit-on-error` (qapi/migration.json). */
const EXIT_ON_ERROR: QemuVersion = '9.1.0'

/** What `loadSaved` needs of a QEMU. Errors (QemuError): it does not wait for a guest. */
export async function prepareLoad(qmp: QmpClient): Promise<void> {
  const { status } = await runStatus(qmp)
  if (status !== 'inmigrate')
    throw new QemuError(`QEMU is in state '${status}' and does not wait for a saved guest`)
  await setOurs(qmp, 'load')
}

/** Errors (QemuError, CorruptBytesError): the file is damaged, or does not fit this QEMU and command line. */
export async function loadGuest(qmp: QmpClient, saved: SavedState, timeoutMs: number): Promise<void> {
  await checkStateFile(saved, timeoutMs)
  await prepareLoad(qmp)
  await loadSaved(qmp, saved, timeoutMs)
}

/**
 * Of a file that was measured just now, into a QEMU that is prepared. Errors (QemuError): it refuses, or must
 * not have the guest.
 */
export async function loadSaved(qmp: QmpClient, saved: SavedState, timeoutMs: number): Promise<void> {
  const problem = loadProblem(qmp.version, saved.isSuspended)
  if (problem !== undefined) throw new QemuError(`QEMU ${qmp.version}: ${problem}`)
  qmp.dropEvents()
  // Without it QEMU ends when it cannot load the guest, before its reason can be read.
  const stays = compareVersions(qmp.version, EXIT_ON_ERROR) >= 0 ? { 'exit-on-error': false } : {}
  await qmp.execute('migrate-incoming', { ...fileChannels(saved.path), ...stays })
  await awaitMigration(qmp, timeoutMs)
}

/**
 * Of a QEMU that was started for a saved guest: its state, once a load is over that a process has begun which
 * has ended since. Begins none. Errors (QemuError): that load has failed, or takes longer than `timeoutMs`.
 */
export async function statusAfterLoad(qmp: QmpClient, timeoutMs: number): Promise<string> {
  const { status } = await runStatus(qmp)
  if (status !== 'inmigrate' || (await migrationUnderWay(qmp)) === undefined) return status
  await awaitMigration(qmp, timeoutMs)
  return (await runStatus(qmp)).status
}

/**
 * Lets a loaded guest go on as before. Returns the time when its virtual CPUs started, or now for one that
 * was paused, in milliseconds since the epoch. Errors: QemuError.
 */
export async function continueGuest(qmp: QmpClient, goesOn: GoesOn): Promise<number> {
  const sentAtMs = Date.now()
  if (!goesOn.wasRunning) return sentAtMs
  try {
    await qmp.execute('cont')
    // After it the guest is suspended, as it was when it was saved.
    if (goesOn.wakes) await qmp.execute('system_wakeup')
    const [last, waitMs] = goesOn.wakes
      ? (['WAKEUP', WAKEUP_EVENT_MS] as const)
      : (['RESUME', RESUME_EVENT_MS] as const)
    const isLast = ({ name }: QmpEvent) => name === last
    return eventTime(await qmp.event(isLast, waitMs, 'the guest did not resume'), sentAtMs)
  } catch {
    // Its answer or its event was lost: only its state says whether the guest runs.
    return await qmp.withConnection(async (live) => {
      await goOn(live, goesOn, await runStatus(live))
      return Date.now()
    })
  }
}
