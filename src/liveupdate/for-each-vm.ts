/**
 * Runs one action for all VMs of a mount at once, and reports the results. One VM's failure holds back no
 * other.
 */
import type { TriedLines } from '../qemu/carry/next-line.ts'
import type { SuccessorRoom } from '../qemu/successor/room.ts'
import type { Vm } from '../qemu/vm-list.ts'
import type { EarlyGuests } from './guest/early-result.ts'
import type { VmRequest } from './guest/vm-result.ts'
import { nowMs, type Phase, type VmTimeline } from './report/timeline.ts'
import type { UpdateReport } from './report/update-report.ts'

export type OtherContext = Pick<VmRequest, 'originMs' | 'onPhase' | 'withoutLock'>

/** A guest whose QEMU libvirt owns. */
export interface OtherGuest {
  readonly name: string
  /** Of a saved one that ran. */
  readonly stoppedAtMs?: number | undefined
  /** Never rejects. */
  readonly run: (context: OtherContext) => Promise<VmTimeline>
}

/** What the VMs of one mount have in common. */
export interface VmBatch {
  readonly mountPoint: string
  readonly vms: readonly Vm[]
  readonly others?: readonly OtherGuest[]
  readonly nextQemu: string | undefined
  /** What the preflight found for each. */
  readonly lines?: TriedLines
  /** For each step of each VM. */
  readonly timeoutMs: number
  /** As of `VmRequest`. */
  readonly isNamed?: boolean
  readonly room?: SuccessorRoom
  readonly check?: () => void
  readonly withoutLock?: VmRequest['withoutLock']
  /** As of `VmRequest`, by the VM's name. */
  readonly early?: EarlyGuests | undefined
  readonly onPhase: (name: string, phase: Phase) => void
  readonly onDone: (result: VmTimeline) => void
}

/** `one` never rejects: what goes wrong is in its result. */
export async function runForEach(
  kind: UpdateReport['kind'],
  { mountPoint, vms, others = [], lines, early, onPhase, onDone, ...rest }: VmBatch,
  one: (request: VmRequest) => Promise<VmTimeline>,
): Promise<UpdateReport> {
  const originMs = nowMs()
  const results = await Promise.all([
    ...vms.map(async (vm) => {
      const { name } = vm.definition
      const result = await one({
        ...rest,
        vm,
        tried: lines?.get(name),
        early: early?.get(name),
        originMs,
        onPhase: (phase) => onPhase(name, phase),
      })
      onDone(result)
      return result
    }),
    ...others.map(async ({ name, run }) => {
      const { withoutLock } = rest
      const result = await run({ originMs, withoutLock, onPhase: (phase) => onPhase(name, phase) })
      onDone(result)
      return result
    }),
  ])
  const durationUs = Math.round((nowMs() - originMs) * 1000)
  return { format: 1, kind, mountPoint, startedAtMs: Math.round(originMs), durationUs, vms: results }
}
