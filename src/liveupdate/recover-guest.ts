/**
 * Owns making a guest go on that is stopped in a live QEMU, because what stopped it died half-way: `guestmemfs live-update`
 * was killed, or lost its QEMU for a while. Its record and its QEMU's state tell together how far that had come.
 */

import { bringUp } from '../qemu/bring-up.ts'
import { runStatus } from '../qemu/migration.ts'
import { QmpClient } from '../qemu/qmp-client.ts'
import { continueGuest } from '../qemu/restore.ts'
import { cancelMigration } from '../qemu/save.ts'
import { cancelSave } from '../qemu/save-and-quit.ts'
import { removeStateFile, type SavedState } from '../qemu/saved-state.ts'
import { type VmDefinition, writeDefinition } from '../qemu/vm-definition.ts'
import { vmPaths } from '../run/vm-runtime.ts'
import { UsageError } from '../values/errors.ts'

export interface Recovery {
  readonly definition: VmDefinition
  readonly timeoutMs: number
  readonly onStep: (step: 'launch' | 'start' | 'load' | 'continue', atMs?: number) => void
}

/** Returns the definition on record. Errors (UsageError, QemuError): it runs, or its QEMU does not do it. */
export async function recoverGuest(waking: Recovery): Promise<VmDefinition> {
  const { definition, timeoutMs, onStep } = waking
  const { name, saved } = definition
  const qmp = await QmpClient.connect(vmPaths(name).qmp, timeoutMs)
  try {
    const { status } = await runStatus(qmp)
    if (saved === null) return await wakeUnsaved(waking, qmp, status)
    // Not yet told to quit: the old QEMU still has all of the guest.
    if (status === 'postmigrate') {
      await cancelSave(definition, qmp, saved)
      onStep('continue')
      return { ...definition, saved: null }
    }
    // Loaded and not yet told to run: a guest on record as saved never runs.
    if (status === 'paused') return await wakeLoaded(waking, qmp, saved)
    if (status !== 'inmigrate') throw new UsageError(`its QEMU is in state '${status}'`)
  } finally {
    qmp.close()
  }
  return await bringUp({ definition, before: undefined, timeoutMs, onStep })
}

/** Stopped for a save that was never put on record, after it was loaded, or by a person: whoever names it wants it to go on. */
async function wakeUnsaved(
  { definition, onStep }: Recovery,
  qmp: QmpClient,
  status: string,
): Promise<VmDefinition> {
  removeStateFile(definition.statePath)
  // Also of a guest that runs: a save that has just begun would stop it in a moment.
  await cancelMigration(qmp, true)
  if (status === 'running') throw new UsageError('it runs')
  onStep('continue')
  return definition
}

async function wakeLoaded(
  { definition, timeoutMs, onStep }: Recovery,
  qmp: QmpClient,
  saved: SavedState,
): Promise<VmDefinition> {
  const after: VmDefinition = { ...definition, qemuVersion: qmp.version, saved: null }
  writeDefinition(after)
  removeStateFile(saved.path)
  onStep('continue', await continueGuest(qmp, saved.wasRunning, timeoutMs))
  return after
}
