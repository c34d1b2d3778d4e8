/**
 * The recovery of a guest of another VMM whose program runs, and whose update did not end. The record shows
 * how far it had come: only the program knows whether it runs the guest, and `--cancel` has it do so.
 */

import { ramFileOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import { cancelVmm } from '../../qemu/vmm/save-vmm.ts'
import { awaitTaken } from '../../qemu/vmm/start-vmm.ts'
import { isSameProcess } from '../../run/process-identity.ts'
import { liveQemu } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'

export interface VmmRecovery {
  readonly definition: VmDefinition
  readonly timeoutMs: number
  readonly onStep: (step: 'continue') => void
}

/**
 * Returns the definition on record. Errors (UsageError, QemuError): it has ended, runs already, or a command
 * of it fails.
 */
export async function recoverVmm({ definition, timeoutMs, onStep }: VmmRecovery): Promise<VmDefinition> {
  const { name, saved, underUpdate } = definition
  const vmm = liveQemu(name, ramFileOf(definition))
  if (vmm === undefined) throw new UsageError('its program has ended')
  if (saved === null && underUpdate === undefined) throw new UsageError('it runs')
  const former = underUpdate?.vmm
  // Where it was saved, another program is one that was being started from the state.
  if (saved === null || (former !== undefined && isSameProcess(former, vmm))) {
    const running = await cancelVmm(definition, vmm, timeoutMs)
    onStep('continue')
    return running
  }
  return await awaitTaken(definition, vmm, timeoutMs, () => onStep('continue'))
}
