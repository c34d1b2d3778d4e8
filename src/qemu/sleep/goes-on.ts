/**
 * How a guest that an update stopped goes on: it runs, or sleeps again as it did, or stays paused. One that
 * its agent suspended for the update (ACPI S3, QEMU's state `suspended`) is woken.
 */

import { QemuError } from '../../values/errors.ts'
import type { RunStatus } from '../migration.ts'
import { runStatus } from '../migration.ts'
import { compareVersions, type QemuVersion } from '../qemu-version.ts'
import type { QmpCommands } from '../qmp-commands.ts'

export interface GoesOn {
  /** It ran or was suspended, and is so again; false: its operator had paused it. */
  readonly wasRunning: boolean
  /** It is suspended for the update alone, and woken at its end. */
  readonly wakes: boolean
  /** It was suspended when its QEMU stopped it, by whomever. */
  readonly wasSuspended: boolean
}

/** A guest that its agent has suspended for an update. Milliseconds since the epoch. */
export interface Asleep {
  /** When its agent was asked to. */
  readonly askedAtMs: number
  /** When its processors stopped. */
  readonly sinceMs: number
}

/**
 * From this version on a guest that is suspended when it is stopped, saved and loaded is so again after
 * `cont` (`vm_was_suspended`, system/cpus.c and migration/global_state.c). Before, `cont` ran its processors.
 */
export const KEEPS_SUSPENDED: QemuVersion = '9.0.0'

export const keepsSuspended = (version: QemuVersion): boolean =>
  compareVersions(version, KEEPS_SUSPENDED) >= 0

/** Why a QEMU of this version must not load a guest that is suspended or not; undefined: it may. */
export const loadProblem = (version: QemuVersion, isSuspended = false): string | undefined =>
  isSuspended && !keepsSuspended(version)
    ? `it cannot load a suspended guest: take QEMU ${KEEPS_SUSPENDED} or newer`
    : undefined

/**
 * The save of a suspended guest is complete, so the QEMU that has it must get nothing but `quit`: `cont`
 * would have it abort, since it has no way from `postmigrate` to `suspended` (runstate_transitions_def,
 * system/runstate.c). Its state and its RAM are whole, for another QEMU.
 */
export class NeedsAnotherQemuError extends QemuError {}

/** Throws NeedsAnotherQemuError. */
export function checkCanContinue({ status }: RunStatus, wasSuspended: boolean): void {
  if (status === 'postmigrate' && wasSuspended)
    throw new NeedsAnotherQemuError('it is suspended, and the QEMU that has saved it cannot continue it')
}

/**
 * By its state before it is saved. A guest that is suspended by itself gets `cont` as well: it stays so. One
 * that its agent has suspended may have been stopped by another client since (state `paused`), and is
 * suspended all the same, unless it runs: then it woke by itself.
 */
export const goesOnFrom = ({ status, running }: RunStatus, asleep: Asleep | undefined): GoesOn => ({
  wasRunning: running || status === 'suspended' || asleep !== undefined,
  wakes: asleep !== undefined,
  wasSuspended: status === 'suspended' || (asleep !== undefined && !running),
})

/** Has a guest go on that is in state `now`. Errors: QemuError, NeedsAnotherQemuError. */
export async function goOn(
  qmp: QmpCommands,
  { wasRunning, wakes, wasSuspended }: GoesOn,
  now: RunStatus,
): Promise<void> {
  if (!wasRunning) return
  checkCanContinue(now, wasSuspended)
  // After it the state is `suspended` where it was so before the stop.
  if (!now.running && now.status !== 'suspended') await qmp.execute('cont')
  if (wakes) await wakeGuest(qmp)
}

/** Nothing where the guest is not suspended. Errors (QemuError): it stays so, or QEMU does not answer. */
export async function wakeGuest(qmp: QmpCommands): Promise<void> {
  if (!(await isSuspended(qmp))) return
  try {
    await qmp.execute('system_wakeup')
  } catch (error) {
    // QEMU refuses it for a guest that its clock or its network card has woken since.
    if (await isSuspended(qmp)) throw error
  }
}

const isSuspended = async (qmp: QmpCommands): Promise<boolean> =>
  (await runStatus(qmp)).status === 'suspended'
