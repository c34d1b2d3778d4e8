/** The resumption of the saved VMs of a mount: it chooses them, and starts all at once. */
import type { Interrupted } from '../qemu/interrupted-guests.ts'
import type { Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { runForEach, type VmBatch } from './for-each-vm.ts'
import { resumeVm } from './guest/resume-vm.ts'
import type { UpdateReport } from './report/update-report.ts'

/**
 * Those of `vms` that are saved or whose update was `interrupted`; or the named ones, which the operator may
 * have paused. Errors (UsageError): a named one is unknown or dead.
 */
export function chooseSaved(
  vms: readonly Vm[],
  names: readonly string[],
  interrupted: ReadonlyMap<Vm, Interrupted>,
): Vm[] {
  for (const name of names) {
    const vm = vms.find(({ definition }) => definition.name === name)
    if (vm === undefined) throw new UsageError(`there is no VM '${name}': see 'guestmemfs vms'`)
    if (vm.state === 'dead')
      throw new UsageError(`VM ${name} is dead: its QEMU was killed, and it was not saved`)
  }
  return vms.filter((vm) => {
    const { name, saved } = vm.definition
    return names.length === 0 ? saved !== null || interrupted.has(vm) : names.includes(name)
  })
}

/** All at once. */
export function resumeVms(batch: VmBatch): Promise<UpdateReport> {
  return runForEach('resume', batch, resumeVm)
}
