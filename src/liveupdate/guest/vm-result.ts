/** One VM's part in an update or a resumption: what is asked for, and the result that is told afterwards. */
import type { TriedLine } from '../../qemu/carry/next-line.ts'
import { ramBytesOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import type { Outcome, Phase, PhaseClock, VmTimeline } from '../report/timeline.ts'

export interface VmRequest {
  readonly vm: Vm
  /** Absolute path of another QEMU; undefined: the one that the VM has. */
  readonly nextQemu: string | undefined
  /** As of `SaveRequest`. */
  readonly tried?: TriedLine | undefined
  readonly timeoutMs: number
  /** The beginning of the whole update, milliseconds since the epoch. */
  readonly originMs: number
  readonly onPhase: (phase: Phase) => void
}

export interface VmResult {
  readonly before: VmDefinition
  /** As the guest runs now; undefined: it does not. */
  readonly after: VmDefinition | undefined
  readonly qemuBefore: string
  readonly stateBytes: number
  readonly clock: PhaseClock
}

export function vmTimeline(result: VmResult, outcome: Outcome, problem: string | null): VmTimeline {
  const { before, after, qemuBefore, stateBytes, clock } = result
  return {
    name: before.name,
    ramBytes: ramBytesOf(before),
    outcome,
    problem,
    qemuBefore,
    qemuAfter: after?.qemuVersion ?? null,
    stateBytes,
    phases: clock.phases,
    blackoutUs: after === undefined ? null : clock.blackoutUs,
  }
}
