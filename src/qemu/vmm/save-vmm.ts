/**
 * The save of a guest of another VMM, and its undoing, with its record. The program stays, stopped, until the
 * guest is on record as saved: whichever other process ends before that, the guest is in it.
 */
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { errorText, QemuError } from '../../values/errors.ts'
import { GuestStoppedError } from '../save.ts'
import { createStateFile, removeStateFile, type SavedState } from '../saved-state.ts'
import { closeStreams, logStreams } from '../start/start-process.ts'
import { asBeforeUpdate, endUpdate, type VmDefinition, writeDefinition } from '../vm-definition.ts'
import { runCancel, runSave, type VmmProcess } from './vmm-commands.ts'

export interface VmmSave {
  readonly definition: VmDefinition
  /** The program that has the guest. */
  readonly vmm: ProcessIdentity
  /** For each command. */
  readonly timeoutMs: number
  /** Called as each step is done; 'stop' with the time when `--save` was started. */
  readonly onStep: (step: 'stop' | 'save', atMs?: number) => void
}

/**
 * Returns the definition on record: that of a saved guest, which is stopped in its program. Errors
 * (QemuError, CorruptBytesError, UsageError): it goes on. GuestStoppedError: it does not.
 */
export async function saveVmm({ definition, vmm, timeoutMs, onStep }: VmmSave): Promise<VmDefinition> {
  const unended = unendedVmm(definition)
  if (unended !== undefined) throw new QemuError(unended)
  const { statePath, uid, gid } = definition
  const begun: VmDefinition = { ...definition, underUpdate: { wasRunning: true, vmm }, saved: null }
  // In this order: a state file that a killed command leaves is found by the record.
  writeDefinition(begun)
  return await withLog(definition, async (streams) => {
    const process = { vmm, streams, timeoutMs }
    try {
      createStateFile(statePath, { uid, gid })
      const saved = await runSave(begun, process)
      const next = { ...begun, saved }
      writeDefinition(next)
      onStep('stop', saved.stoppedAtMs)
      onStep('save')
      return next
    } catch (error) {
      removeStateFile(statePath)
      await cancelAfter(begun, process, error)
      endUpdate(definition)
      throw error
    }
  })
}

/** Errors (GuestStoppedError): with the reason for the cancel, too. */
async function cancelAfter(definition: VmDefinition, process: VmmProcess, error: unknown): Promise<void> {
  try {
    await runCancel(definition, process)
  } catch (cause) {
    throw new GuestStoppedError(`${errorText(error)}; and it could not be continued: ${errorText(cause)}`, {
      cause,
    })
  }
}

/**
 * Has a guest go on in the program that it was saved in, or in which a save of it had begun. The record
 * first: once the guest runs, no program must find the state. Errors: GuestStoppedError.
 */
export async function cancelVmm(
  definition: VmDefinition,
  vmm: ProcessIdentity,
  timeoutMs: number,
): Promise<VmDefinition> {
  const { saved, statePath } = definition
  const former = asBeforeUpdate(definition)
  writeDefinition(former)
  removeStateFile((saved as SavedState | null)?.path ?? statePath)
  await withLog(definition, (streams) => runCancel(former, { vmm, streams, timeoutMs }))
  return endUpdate(former)
}

/** Why a guest of another VMM cannot be updated: a killed update left it so. undefined: it can be. */
export const unendedVmm = ({ name, saved, underUpdate }: VmDefinition): string | undefined =>
  saved === null && underUpdate === undefined
    ? undefined
    : `its last update did not end: 'guestmemfs resume --name ${name}' first`

/** What the commands print goes to the VM's log. */
async function withLog<T>(
  { name }: VmDefinition,
  work: (streams: VmmProcess['streams']) => Promise<T>,
): Promise<T> {
  const streams = logStreams(name)
  try {
    return await work(streams)
  } finally {
    closeStreams(streams)
  }
}
