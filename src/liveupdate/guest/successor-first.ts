/**
 * The replacement of a QEMU whose successor waits already: save the guest, load it into the successor, give
 * it the guest, let it run, end the old QEMU. The guest is stopped only meanwhile.
 *
 * Why no byte is lost: the old QEMU is stopped and complete until the successor has the guest. A step that
 * fails before that ends the successor, waits for its end (it may have the guest's images open), and
 * continues the old one. From the moment when the runtime record names the successor, the old QEMU is only
 * ever ended; the successor gets `cont` after the saved state was taken off the record, so that no later QEMU
 * loads it over newer RAM. A command that dies in between leaves a record by which `resume` undoes the same
 * step, or completes it.
 */

import { joinCgroup } from '../../linux/cgroup.ts'
import { oomScoreOf, setOomScore } from '../../linux/process.ts'
import { killQemu } from '../../qemu/end-qemu.ts'
import { errorOutputSince, markErrorOutput } from '../../qemu/error-output.ts'
import { setIvshmemAddresses } from '../../qemu/ivshmem-addresses.ts'
import {
  type ContinuedGuest,
  completeLoad,
  continueLoaded,
  restoreSettings,
} from '../../qemu/load-and-continue.ts'
import { releaseForwards } from '../../qemu/machine/settings.ts'
import { loadSaved, prepareLoad } from '../../qemu/restore.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import { cancelSave, type SaveRequest, saveGuestState } from '../../qemu/save-and-quit.ts'
import type { SavedState } from '../../qemu/saved-state.ts'
import { type GuestUnit, moveMainProcess } from '../../qemu/start/guest-unit.ts'
import type { WaitingSuccessor } from '../../qemu/successor/waiting-successor.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { isAlive } from '../../run/process-identity.ts'
import { Errno } from '../../values/errno.ts'
import { errorText, QemuError } from '../../values/errors.ts'
import type { Phase } from '../report/timeline.ts'

export interface TransferRequest extends Omit<SaveRequest, 'onStep'> {
  readonly successor: WaitingSuccessor
  readonly unit: GuestUnit | undefined
  readonly onStep: (step: Phase | 'stop', atMs?: number) => void
  readonly onSaved: (saved: SavedState) => void
}

/** The guest is saved, and neither QEMU can continue it: its old one has ended meanwhile. */
export class GuestSavedError extends QemuError {}

/**
 * Returns the guest that goes on in its successor. Errors: QemuError, CorruptBytesError, UsageError: the
 * guest is in its old QEMU, as it was; GuestSavedError; GuestStoppedError: it is stopped in one of the two.
 */
export async function transferGuest(request: TransferRequest): Promise<ContinuedGuest> {
  const { definition, successor, qmp, qemu, timeoutMs, onStep, onSaved } = request
  const mark = markErrorOutput(definition.name)
  await prepareLoad(successor.qmp)
  const saved = await saveGuestState(request)
  const state = saved.saved as SavedState
  onSaved(state)
  let unset: string[]
  try {
    await setIvshmemAddresses(successor.qmp, saved.windows ?? [])
    await loadSaved(successor.qmp, state, timeoutMs)
    if (saved.settings !== undefined) await releaseForwards(qmp, saved.settings)
    // A process of another user may have got its pid by now.
    successor.checkAlive()
    if (saved.limits === undefined) restoreOomScore(request)
    unset = await completeLoad(successor.qmp, saved, successor.qemu.pid)
    onStep('load')
    successor.takeOver()
  } catch (error) {
    const words = errorOutputSince(mark)
    const problem = words === '' ? errorText(error) : `${errorText(error)} (QEMU: ${words})`
    const left = await rollBack(request, saved, problem)
    throw new QemuError(left === undefined ? problem : `${problem}; ${left}`, { cause: error })
  }
  try {
    // Until it gets `cont`, a state that was saved is all of the guest.
    successor.checkAlive()
  } catch (cause) {
    throw new GuestSavedError(errorText(cause), { cause })
  }
  const continued = await continueLoaded({ qmp: successor.qmp, definition: saved, unset, onStep }).catch(
    (cause: unknown) => new GuestStoppedError(errorText(cause), { cause }),
  )
  const unmoved = await moveUnit(request)
  await qmp.execute('quit').catch(() => {})
  await killQemu(definition.name, qemu).catch(() => {}) // it is stopped: the next command ends it
  if (continued instanceof GuestStoppedError) throw continued
  return { ...continued, unset: [...continued.unset, ...unmoved] }
}

/**
 * Called when the guest runs: its unit would end with its old QEMU. Returns a line where the unit did not
 * take the next one.
 */
async function moveUnit({ unit, qemu, successor }: TransferRequest): Promise<string[]> {
  if (unit === undefined || (await moveMainProcess(unit, qemu.pid, successor.qemu.pid))) return []
  // The manager ends all processes of the unit's cgroup with the unit.
  joinCgroup(successor.qemu.pid, '/')
  return [`its unit ${unit.name} did not take its next QEMU over, which runs outside of it`]
}

/** Until here the OOM killer would end the successor first (`replace-qemu.ts`). Errors: QemuError. */
function restoreOomScore({ successor, qemu }: TransferRequest): void {
  const score = oomScoreOf(qemu.pid)
  const failed = score instanceof Errno ? score : setOomScore(successor.qemu.pid, score)
  if (failed !== undefined) throw new QemuError(`the OOM killer would end its next QEMU first: ${failed}`)
}

/** Continues the old QEMU. Returns what `cancelSave` does. Errors: GuestSavedError, GuestStoppedError. */
async function rollBack(
  { successor, qmp, qemu }: TransferRequest,
  saved: VmDefinition,
  problem: string,
): Promise<string | undefined> {
  try {
    await successor.end()
  } catch (cause) {
    throw new GuestStoppedError(`${problem}; and its next QEMU cannot be ended: ${errorText(cause)}`, {
      cause,
    })
  }
  if (!isAlive(qemu)) throw new GuestSavedError(`${problem}; and its old QEMU has ended`)
  try {
    // Its ports: a connection through them does not outlive this, whichever QEMU has the guest.
    return await qmp.withConnection(async (live) => {
      await restoreSettings(live, saved.settings)
      return await cancelSave(saved, live, saved.saved as SavedState)
    })
  } catch (cause) {
    throw new GuestStoppedError(`${problem}; and it could not be continued: ${errorText(cause)}`, { cause })
  }
}
