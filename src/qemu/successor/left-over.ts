/**
 * QEMUs that an update left, as its command was killed or rolled back: a successor that never got the guest,
 * or a predecessor that has the guest no more. Neither runs the guest, and each maps its RAM.
 */
import { errnoOfNodeError } from '../../linux/library.ts'
import { isSameProcess, type ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, writeRuntime } from '../../run/vm-runtime.ts'
import { endWaiting, killQemu } from '../end-qemu.ts'

/**
 * Ends them, and takes them off the record. The caller holds the VM's update lock, or the VM's own lock and
 * has not become its QEMU yet. Errors (QemuError): one cannot be ended.
 */
export async function endLeftOver(name: string): Promise<void> {
  const { successor, predecessor } = readRuntime(name) ?? {}
  if (successor !== undefined) await endWaiting(name, successor)
  if (predecessor !== undefined) await killQemu(name, predecessor, 0)
  takeOffRecord(name, [successor, predecessor])
}

/**
 * The record as it is now: a successor may have put itself there meanwhile. Where /run takes no files the two
 * stay on record, which does not matter, as they have ended.
 */
function takeOffRecord(name: string, ended: readonly (ProcessIdentity | undefined)[]): void {
  const now = readRuntime(name)
  if (now === undefined) return
  const { successor, predecessor, ...rest } = now
  const isEnded = (one: ProcessIdentity | undefined): boolean =>
    one !== undefined && ended.some((other) => other !== undefined && isSameProcess(one, other))
  if (!isEnded(successor) && !isEnded(predecessor)) return
  const left = {
    ...(successor === undefined || isEnded(successor) ? {} : { successor }),
    ...(predecessor === undefined || isEnded(predecessor) ? {} : { predecessor }),
  }
  try {
    writeRuntime(name, { ...rest, ...left })
  } catch (error) {
    errnoOfNodeError(error)
  }
}
