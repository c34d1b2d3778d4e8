/**
 * The suspension of one guest before the jump: saved, on record, and stopped in a QEMU that the jump ends.
 * Until then `resumeVm` can continue it in that same QEMU.
 */
import { close } from '../../linux/descriptors.ts'
import type { TriedLine } from '../../qemu/carry/next-line.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { saveGuestState } from '../../qemu/save-and-quit.ts'
import { ramFileOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import { readVms, type Vm } from '../../qemu/vm-list.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { lockForUpdate, vmPaths } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { nowMs } from '../report/timeline.ts'

export interface SuspendedVm {
  readonly vm: Vm
  readonly savedAtMs: number
  /**
   * Releases the VM's update lock: from then on the watcher of all guests treats the end of QEMU as the end
   * of the VM.
   */
  readonly release: () => void
}

export interface Patience {
  /** For the migration. */
  readonly timeoutMs: number
  /**
   * For the save as a whole, however often QEMU answers: all other guests, stopped meanwhile, wait this long
   * for one that does not come to its end.
   */
  readonly patienceMs: number
}

/**
 * `tried`: as of `SaveRequest`. Errors (QemuError, CorruptBytesError, UsageError): the guest is as it was
 * before. GuestStoppedError: it is stopped in its QEMU.
 */
export async function suspendVm(
  { definition }: Vm,
  tried: TriedLine | undefined,
  { timeoutMs, patienceMs }: Patience,
): Promise<SuspendedVm> {
  const { name } = definition
  readRunning(definition)
  const lock = await lockForUpdate(name)
  if (lock === undefined) throw new UsageError('another update of it is under way')
  let heldLock: Fd | undefined = lock
  const release = () => {
    if (heldLock !== undefined) close(heldLock)
    heldLock = undefined
  }
  try {
    const vm = readRunning(definition)
    const began = performance.now()
    const qmp = await QmpClient.connect(vmPaths(name).qmp, patienceMs)
    qmp.patienceMs = patienceMs
    // Past it nothing is undone here, which would take more time: the guest counts as stopped, and is
    // continued over another connection, side by side with all others.
    qmp.endWithin(patienceMs - (performance.now() - began), lateWords(patienceMs))
    try {
      await saveGuestState({
        definition: vm.definition,
        qmp,
        qemu: vm.qemu,
        tried,
        nextQemu: undefined,
        timeoutMs,
        onStep: () => {},
      })
    } finally {
      qmp.close()
    }
    return { vm, savedAtMs: nowMs(), release }
  } catch (error) {
    release()
    throw error
  }
}

const lateWords = (patienceMs: number): string =>
  `it was not saved within ${patienceMs / 1000} s, while the other guests stand still: give it more with --patience`

/**
 * The VM as it is now: it may have ended since the preflight. Under its update lock no other command changes
 * it. Errors (UsageError): it does not run.
 */
function readRunning(definition: VmDefinition): Vm & { readonly qemu: ProcessIdentity } {
  const [vm] = readVms([ramFileOf(definition)]).vms
  if (vm?.qemu !== undefined) return { ...vm, qemu: vm.qemu }
  throw new UsageError(`it is ${vm?.state ?? 'gone'} now`)
}
