/**
 * Owns the VMM-only live update of all VMs of a mount: look first, then replace every QEMU at once. One VM's trouble
 * never holds back another.
 */

import type { Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { replaceQemu } from './guest/replace-qemu.ts'
import { checkGuests } from './preflight/check-guests.ts'
import { nowMs, type Phase, type VmTimeline } from './report/timeline.ts'
import type { UpdateReport } from './report/update-report.ts'

export interface VmmOnlyUpdate {
  readonly mountPoint: string
  readonly vms: readonly Vm[]
  readonly nextQemu: string | undefined
  /** For each step of each VM. */
  readonly timeoutMs: number
  readonly onPhase: (name: string, phase: Phase) => void
  readonly onDone: (result: VmTimeline) => void
}

/** Those of `vms` that run, or the named ones. Errors (UsageError): a named one is unknown or does not run; none runs. */
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

/** Errors (UsageError): an obstacle was found, and no guest was paused. */
export async function updateVmms(update: VmmOnlyUpdate): Promise<UpdateReport> {
  const { vms, nextQemu, timeoutMs, onPhase, onDone, mountPoint } = update
  const obstacles = await checkGuests(vms, nextQemu)
  if (obstacles.length > 0) throw new UsageError(obstacles.join('\nguestmemfs: '))
  const originMs = nowMs()
  const results = await Promise.all(
    vms.map(async (vm) => {
      const { name } = vm.definition
      const result = await replaceQemu({
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
    kind: 'vmm-only',
    mountPoint,
    startedAtMs: Math.round(originMs),
    durationUs,
    vms: results,
  }
}
