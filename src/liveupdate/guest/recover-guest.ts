/**
 * The recovery of a guest that is stopped in a running QEMU because `guestmemfs live-update` was killed
 * before it had finished, or lost its QMP connection. The VM's record and QEMU's state together show how far
 * the update had come.
 */
import { endQemu } from '../../qemu/end-qemu.ts'
import {
  type ContinuedGuest,
  completeLoad,
  continueLoaded,
  GuestLoadError,
  loadAndContinue,
  restoreSettings,
} from '../../qemu/load-and-continue.ts'
import { runStatus, statusAtRest } from '../../qemu/migration.ts'
import { isSetForSave, operatorsMigration } from '../../qemu/migration-settings.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { statusAfterLoad } from '../../qemu/restore.ts'
import { cancelMigration } from '../../qemu/save.ts'
import { cancelSave } from '../../qemu/save-and-quit.ts'
import { isConsumed, measureStateFile, removeStateFile } from '../../qemu/saved-state.ts'
import { NeedsAnotherQemuError } from '../../qemu/sleep/goes-on.ts'
import { statusAfterSleep } from '../../qemu/sleep/put-to-sleep.ts'
import { endLeftOver } from '../../qemu/successor/left-over.ts'
import {
  asBeforeUpdate,
  endUpdate,
  ramFileOf,
  type VmDefinition,
  wasSuspended,
  writeDefinition,
} from '../../qemu/vm-definition.ts'
import { watchRunning } from '../../qemu/watch/watcher-client.ts'
import { linkQmp, liveQemu, qmpSocket } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'
import { recoverVmm } from './recover-vmm.ts'

export interface RecoverRequest {
  readonly definition: VmDefinition
  /** As of `VmRequest`. */
  readonly isNamed: boolean
  readonly timeoutMs: number
  readonly onStep: (step: 'launch' | 'start' | 'load' | 'continue', atMs?: number) => void
  /** Of a guest that went on before its record could say so: as of `LoadedGuest`. */
  readonly unset?: readonly string[] | undefined
}

/** States of QEMU that a guest is only in where it runs, or has run since it was saved. */
const HAS_RUN = ['running', 'suspended', 'shutdown', 'guest-panicked', 'io-error', 'watchdog']

/**
 * Errors (UsageError, QemuError): the guest runs already, or QEMU refuses. NeedsAnotherQemuError: the guest
 * is on record as saved, and this QEMU is to be ended.
 */
export async function recoverGuest(request: RecoverRequest): Promise<ContinuedGuest> {
  const { definition, timeoutMs, onStep } = request
  const { name, saved } = definition
  if (definition.vmm !== undefined) return settled(await recoverVmm(request))
  await endLeftOver(name)
  linkQmp(name)
  const qmp = await QmpClient.connect(qmpSocket(name), timeoutMs)
  try {
    if (saved === null) return await recoverUnsaved(request, qmp, (await runStatus(qmp)).status)
    const status = await statusAfterLoad(qmp, timeoutMs)
    // No `quit` was sent yet: the old QEMU still has all of the guest. Where another client of it has
    // continued the guest meanwhile, its state is too old: `cancelSave` takes it off the record first.
    if (status === 'postmigrate' || (HAS_RUN.includes(status) && !isConsumed(saved.path))) {
      // Restores its ports: its next QEMU may have bound them already.
      const unset = await restoreSettings(qmp, definition.settings)
      const left = await cancelSave(definition, qmp, saved)
      onStep('continue')
      return settled(asBeforeUpdate(definition), left === undefined ? unset : [...unset, left])
    }
    // Loaded, and no `cont` was sent yet: a guest on record as saved runs only if its state has the mark.
    if (status === 'paused')
      return await continueLoaded({
        ...request,
        qmp,
        unset: await completeLoad(qmp, definition, liveQemu(name)?.pid),
      })
    // It was let go on while its pool was being mounted.
    if (isConsumed(saved.path)) {
      const running = await continueLoaded({ ...request, qmp, unset: request.unset ?? [], hasGoneOn: true })
      await watchRunning(running.definition)
      return running
    }
    if (status !== 'inmigrate') throw new UsageError(`its QEMU is in state '${status}'`)
  } finally {
    qmp.close()
  }
  try {
    return await loadAndContinue({ definition, before: undefined, timeoutMs, onStep })
  } catch (error) {
    // A QEMU whose load failed takes no other: the next attempt starts a new one.
    if (!(error instanceof GuestLoadError && error.isLoaded)) await endQemu(name, ramFileOf(definition))
    throw error
  }
}

/**
 * For a guest that was stopped for a save that is not on record, or was loaded: continues it if it ran before
 * the update. QEMU is in mode cpr-reboot until the guest continues. In another mode guestmemfs has not
 * stopped the guest: the operator may have paused it, or migrated it to another host, where it runs; only the
 * record is corrected then, unless the operator named the guest. A guest that the operator has paused is
 * continued if it was named, and else left paused: a preflight that was killed has left its QEMU set for a
 * save. A guest that was suspended for an update is woken, in whatever mode; where its agent was asked, it
 * may still do so.
 */
async function recoverUnsaved(
  { definition, isNamed, timeoutMs, onStep }: RecoverRequest,
  qmp: QmpClient,
  found: string,
): Promise<ContinuedGuest> {
  const { statePath, underUpdate } = definition
  const sleep = underUpdate?.sleep
  const status = sleep && found === 'running' ? await statusAfterSleep(qmp, sleep.askedAtMs) : found
  const isAsleep = sleep !== undefined && status === 'suspended'
  const isLeftSet = await isSetForSave(qmp)
  if (!isLeftSet && !isNamed && !isAsleep) {
    if (underUpdate === undefined) return settled(definition)
    removeStateFile(statePath)
    return settled(endUpdate(definition))
  }
  if (isLeftSet && underUpdate !== undefined && wasSuspended(definition)) {
    // A save that comes to its end all the same leaves the guest to another QEMU.
    await qmp.execute('migrate_cancel')
    if ((await statusAtRest(qmp)).status === 'postmigrate')
      return await recordSaved(definition, underUpdate.wasRunning, qmp, timeoutMs)
  }
  removeStateFile(statePath)
  const isPausedByOperator = underUpdate === undefined && status === 'paused' && !isNamed
  // Also for a guest that runs: a save that has just begun would stop it. Without an update on record, a
  // command may have left nothing but the mode.
  const migration = underUpdate === undefined ? await operatorsMigration(qmp) : underUpdate.migration
  const goesOn = {
    wasRunning: underUpdate?.wasRunning ?? !isPausedByOperator,
    wakes: sleep !== undefined,
    wasSuspended: wasSuspended(definition),
  }
  const left = await cancelMigration(qmp, goesOn, migration)
  if (underUpdate === undefined && status === 'running' && !isLeftSet) throw new UsageError('it runs')
  onStep('continue')
  const unset = left === undefined ? [] : [left]
  return settled(underUpdate === undefined ? definition : endUpdate(asBeforeUpdate(definition)), unset)
}

/**
 * Its save was complete, and the command ended before the record could say so. Throws NeedsAnotherQemuError;
 * CorruptBytesError: its state is not whole, and all of the guest is in this QEMU alone.
 */
async function recordSaved(
  definition: VmDefinition,
  wasRunning: boolean,
  qmp: QmpClient,
  timeoutMs: number,
): Promise<never> {
  const path = definition.statePath
  const measured = await measureStateFile(path, timeoutMs)
  const [stoppedAtMs, qemuVersion] = [Date.now(), qmp.version]
  const saved = { path, ...measured, wasRunning, stoppedAtMs, qemuVersion, isSuspended: true }
  writeDefinition({ ...definition, saved })
  throw new NeedsAnotherQemuError('it is saved, and suspended')
}

const settled = (definition: VmDefinition, unset: readonly string[] = []): ContinuedGuest => ({
  definition,
  unset,
})
