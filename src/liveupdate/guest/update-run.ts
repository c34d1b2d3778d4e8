/**
 * The state of one replacement of a VM's QEMU: the next command line, the times of the phases, and the
 * result.
 */

import type { ContinuedGuest } from '../../qemu/load-and-continue.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import type { GuestUnit } from '../../qemu/start/guest-unit.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { errorText } from '../../values/errors.ts'
import { type Phase, PhaseClock, type VmTimeline } from '../report/timeline.ts'
import { GuestSavedError } from './successor-first.ts'
import { type VmRequest, vmTimeline } from './vm-result.ts'

export class UpdateRun {
  readonly request: VmRequest
  readonly before: VmDefinition
  /** Of the next QEMU, with the recorded program. */
  readonly line: readonly string[]
  /** The definition that the guest runs by now; undefined: it does not run. */
  after: VmDefinition | undefined
  stateBytes = 0
  /** Of which its old QEMU is the main process; undefined: none. */
  unit: GuestUnit | undefined
  /** As of `VmTimeline`. */
  quitFirst: string | null = null
  readonly #clock: PhaseClock

  constructor(request: VmRequest) {
    this.request = request
    this.before = request.vm.definition
    this.line = request.tried?.argv ?? this.before.argv
    this.#clock = new PhaseClock(request.originMs)
  }

  readonly onStep = (step: Phase | 'stop', atMs?: number): void => {
    if (step === 'stop') {
      this.#clock.stopped(atMs as number)
      return
    }
    this.#clock.ended(step, atMs)
    this.request.onPhase(step)
  }

  updated({ definition, unset }: ContinuedGuest): VmTimeline {
    this.after = definition
    return this.result('updated', unset.join('; ') || null)
  }

  /** Called when a step failed that has undone itself, as far as the error does not say otherwise. */
  failed(error: unknown): VmTimeline {
    const resume = `'guestmemfs resume --name ${this.before.name}'`
    if (error instanceof GuestSavedError)
      return this.result('saved', `${errorText(error)}: go on with ${resume}`)
    if (!(error instanceof GuestStoppedError)) return this.result('rolled-back', errorText(error))
    return this.result('stranded', `${errorText(error)}: try ${resume}`)
  }

  result(outcome: VmTimeline['outcome'], problem: string | null): VmTimeline {
    const result = {
      before: this.before,
      after: this.after,
      qemuBefore: this.before.qemuVersion,
      stateBytes: this.stateBytes,
      clock: this.#clock,
      quitFirst: this.quitFirst,
    }
    return vmTimeline(result, outcome, problem)
  }
}
