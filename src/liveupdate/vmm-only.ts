/**
 * The live update of QEMU alone, for the VMs of a mount: which ones, the preflight, then every QEMU at once.
 */
import type { Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import type { Finding } from '../values/finding.ts'
import { runForEach, type VmBatch } from './for-each-vm.ts'
import { replaceQemu } from './guest/replace-qemu.ts'
import { checkGuests } from './preflight/check-guests.ts'
import type { UpdateReport } from './report/update-report.ts'

/**
 * Those of `vms` that run, or the named ones. Errors (UsageError): a named one is unknown or does not run;
 * none runs.
 */
export function chooseVms(vms: readonly Vm[], names: readonly string[]): Vm[] {
  const unknown = names.find((name) => !vms.some(({ definition }) => definition.name === name))
  if (unknown !== undefined) throw new UsageError(`there is no VM '${unknown}': see 'guestmemfs vms'`)
  const wanted = names.length === 0 ? vms : vms.filter(({ definition }) => names.includes(definition.name))
  const idle = names.length === 0 ? undefined : wanted.find(({ state }) => state !== 'running')
  if (idle !== undefined) {
    const { name } = idle.definition
    const advice = idle.state === 'saved' ? `: continue it with 'guestmemfs resume ${name}'` : ''
    throw new UsageError(`VM ${name} is ${idle.state}${advice}`)
  }
  const running = wanted.filter(({ state }) => state === 'running')
  if (running.length === 0)
    throw new UsageError("no VM runs there: start one with 'guestmemfs run -- qemu-system-x86_64 …'")
  return running
}

/** Errors (UsageError): something speaks against it, and no guest was paused. */
export async function updateVmms(batch: VmBatch, warned: (finding: Finding) => void): Promise<UpdateReport> {
  const findings = await checkGuests(batch.vms, batch.nextQemu)
  const refusals = findings.filter(({ severity }) => severity === 'error')
  if (refusals.length > 0) throw new UsageError(refusals.map(({ message }) => message).join('\nguestmemfs: '))
  for (const finding of findings) warned(finding)
  return await runForEach('vmm-only', batch, replaceQemu)
}
