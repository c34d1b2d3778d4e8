/**
 * Owns one guest's way to the jump: saved, on record, and stopped in a QEMU that the jump ends. Until then nothing of
 * it is gone: `resumeVm` lets that same QEMU go on.
 */
import { close } from '../../linux/descriptors.ts'
import { QmpClient } from '../../qemu/qmp-client.ts'
import { saveGuestState } from '../../qemu/save-and-quit.ts'
import { ramFileOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import { readVms, type Vm } from '../../qemu/vm-list.ts'
import { tryLock, vmPaths } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { nowMs } from '../report/timeline.ts'

export interface SuspendedVm {
  readonly vm: Vm
  readonly savedAtMs: number
  /** Lets others handle the VM again: its supervisor takes a QEMU that ends now for ended. */
  readonly release: () => void
}

/** Errors (QemuError, CorruptBytesError, UsageError): the guest runs on as it did, unless the message says otherwise. */
export async function suspendVm({ definition }: Vm, timeoutMs: number): Promise<SuspendedVm> {
  const { name } = definition
  lookAgain(definition)
  const lock = tryLock(vmPaths(name).updateLock)
  if (lock === undefined) throw new UsageError('another update of it is under way')
  let heldLock: Fd | undefined = lock
  const release = () => {
    if (heldLock !== undefined) close(heldLock)
    heldLock = undefined
  }
  try {
    const vm = lookAgain(definition)
    const qmp = await QmpClient.connect(vmPaths(name).qmp, timeoutMs)
    try {
      const { argv } = vm.definition
      await saveGuestState({ definition: vm.definition, qmp, nextArgv: argv, timeoutMs, onStep: () => {} })
    } finally {
      qmp.close()
    }
    return { vm, savedAtMs: nowMs(), release }
  } catch (error) {
    release()
    throw error
  }
}

/** What was true in the preflight may have changed; under the lock it stays. Errors (UsageError): it does not run. */
function lookAgain(definition: VmDefinition): Vm {
  const [vm] = readVms([ramFileOf(definition)]).vms
  if (vm?.state === 'running') return vm
  throw new UsageError(`it is ${vm?.state ?? 'gone'} now`)
}
