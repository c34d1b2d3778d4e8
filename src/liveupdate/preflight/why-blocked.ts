/** Why a guest cannot be saved as it is now, asked of its QEMU while no other command updates it. */
import { close } from '../../linux/descriptors.ts'
import {
  type Blocked,
  blockedReasons,
  migrationUnderWay,
  type RunStatus,
  runStatus,
} from '../../qemu/migration.ts'
import {
  isSetForSave,
  type MigrationSettings,
  operatorsMigration,
  setMigration,
} from '../../qemu/migration-settings.ts'
import type { QmpClient } from '../../qemu/qmp-client.ts'
import { stateProblem } from '../../qemu/save.ts'
import { ramFileOf, readDefinition, unendedUpdate, type VmDefinition } from '../../qemu/vm-definition.ts'
import { lockForUpdate } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'

export interface WhyBlocked extends Blocked {
  /** Not running: its operator has paused it, or it is suspended. */
  readonly state: RunStatus
}

/** By QEMU's state. */
const ADVICE: Readonly<Record<string, string>> = {
  postmigrate:
    ", as QEMU leaves a paused guest whose save was undone: it saves it again once it was continued ('cont', then 'stop'), unless it was migrated away",
}

/**
 * Errors (UsageError): the guest is in a state in which none is saved, or another command updates it.
 * QemuError: QEMU does not answer.
 */
export async function whyBlocked(definition: VmDefinition, qmp: QmpClient): Promise<WhyBlocked> {
  const lock = await lockForUpdate(definition.name)
  if (lock === undefined) throw new UsageError('another update of it is under way')
  try {
    const state = await runStatus(qmp)
    // Before its migration mode is changed, by which `resume` finds an update that did not end. By the record
    // as it is now: another command may have ended its update while this one waited for the lock. One that is
    // suspended, by a record of an update, may have been so by its agent: its update would not wake it.
    const unended = unendedUpdate(readDefinition(ramFileOf(definition)) ?? definition, state.running)
    if (unended !== undefined) throw new UsageError(unended)
    const problem = stateProblem(state, qmp.version)
    if (problem !== undefined) throw new UsageError(`${problem}${ADVICE[state.status] ?? ''}`)
    // In mode cpr-reboot that migration would end without a stop of the guest's processors
    // (migration/migration.c).
    const migration = await migrationUnderWay(qmp)
    if (migration !== undefined)
      throw new UsageError(
        `a migration of it is under way (${migration}): wait for its end, or end it with QMP's migrate_cancel`,
      )
    const remarks = (await isSetForSave(qmp))
      ? ['a command that was killed had left its QEMU set for a save (cpr-reboot): it is set back']
      : []
    const { reasons, remarks: refused } = await askReasons(qmp, await operatorsMigration(qmp))
    return { reasons, remarks: [...remarks, ...refused], state }
  } finally {
    close(lock)
  }
}

/** QEMU is set back over another connection where this one fails in the middle. */
async function askReasons(qmp: QmpClient, migration: MigrationSettings): Promise<Blocked> {
  try {
    return await blockedReasons(qmp, migration)
  } catch (error) {
    await qmp.withConnection((live) => setMigration(live, migration)).catch(() => {}) // `resume` finds it
    throw error
  }
}
