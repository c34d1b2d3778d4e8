/** Owns `resume` for all saved VMs of a mount at once: which ones, and all in parallel. */
import type { Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { resumeVm } from './guest/resume-vm.ts'
import { nowMs, type Phase, type VmTimeline } from './report/timeline.ts'
import type { UpdateReport } from './report/update-report.ts'

export interface ResumeAll {
  readonly mountPoint: string
  readonly vms: readonly Vm[]
  readonly nextQemu: string | undefined
  readonly timeoutMs: number
  readonly onPhase: (name: string, phase: Phase) => void
  readonly onDone: (result: VmTimeline) => void
}

/**
 * Those of `vms` that lie saved; or the named ones, which may also be stopped in a QEMU. Errors (UsageError): a named one is
 * unknown or dead.
 */
export function chooseSaved(vms: readonly Vm[], names: readonly string[]): Vm[] {
  for (const name of names) {
    const vm = vms.find(({ definition }) => definition.name === name)
    if (vm === undefined) throw new UsageError(`there is no VM '${name}': see 'guestmemfs vms'`)
    if (vm.state === 'dead')
      throw new UsageError(`VM ${name} is dead: its QEMU was killed, and it was not saved`)
  }
  return vms.filter(({ definition }) =>
    names.length === 0 ? definition.saved !== null : names.includes(definition.name),
  )
}

export async function resumeVms(request: ResumeAll): Promise<UpdateReport> {
  const { vms, nextQemu, timeoutMs, onPhase, onDone, mountPoint } = request
  const originMs = nowMs()
  const results = await Promise.all(
    vms.map(async (vm) => {
      const { name } = vm.definition
      const result = await resumeVm({
        vm,
        nextQemu,
        timeoutMs,
        originMs,
        onPhase: (phase) => onPhase(name, phase),
      })
      onDone(result)
      return result
    }),
  )
  const durationUs = Math.round((nowMs() - originMs) * 1000)
  return {
    format: 1,
    kind: 'resume',
    mountPoint,
    startedAtMs: Math.round(originMs),
    durationUs,
    vms: results,
  }
}
