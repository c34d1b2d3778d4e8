/** One VM's part in an update or a resumption: the request, and the result for the report. */
import type { TriedLine } from '../../qemu/carry/next-line.ts'
import type { SuccessorRoom } from '../../qemu/successor/room.ts'
import { ramBytesOf, type VmDefinition } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import type { Phase, PhaseClock, VmOutcome, VmTimeline } from '../report/timeline.ts'
import type { EarlyResult } from './early-result.ts'

export interface VmRequest {
  readonly vm: Vm
  /** Absolute path of another QEMU; undefined: the recorded one. */
  readonly nextQemu: string | undefined
  /** As of `SaveRequest`. */
  readonly tried?: TriedLine | undefined
  readonly timeoutMs: number
  /** Of a resumption: the operator named the VM, so it is continued even if the operator had paused it. */
  readonly isNamed?: boolean
  /** The caller holds the VM's update lock already, and releases it afterwards. */
  readonly isLocked?: boolean
  /** Of an update of QEMU alone. */
  readonly room?: SuccessorRoom
  /** Called as long as a guest is not stopped. Errors (UsageError): the update is to end. */
  readonly check?: () => void
  /**
   * Of a resumption: runs `wait`, which never rejects, without the host-wide lock, so that other commands can
   * resume their guests. Errors (UsageError): one of them does not release the lock.
   */
  readonly withoutLock?: ((wait: () => Promise<void>) => Promise<void>) | undefined
  /** Of a resumption, as in `EarlyGuests`. */
  readonly early?: Promise<EarlyResult | undefined> | undefined
  /** The beginning of the whole update, milliseconds since the epoch. */
  readonly originMs: number
  readonly onPhase: (phase: Phase) => void
}

export interface VmResult {
  readonly before: VmDefinition
  /** The definition that the guest runs by now; undefined: it does not run. */
  readonly after: VmDefinition | undefined
  readonly qemuBefore: string
  readonly stateBytes: number
  readonly clock: PhaseClock
  /** As of `VmTimeline`. */
  readonly quitFirst?: string | null
}

export function vmTimeline(result: VmResult, outcome: VmOutcome, problem: string | null): VmTimeline {
  const { before, after, qemuBefore, stateBytes, clock, quitFirst } = result
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
    ...(quitFirst === undefined ? {} : { quitFirst }),
  }
}
