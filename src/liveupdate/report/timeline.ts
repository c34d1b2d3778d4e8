/**
 * The times of a live update: per VM, when each phase began and how long it took. Plain values, times as
 * integers of microseconds: they are stored, printed and compared.
 */

/**
 * Each phase ends where the next begins, and all of them together are the guest's blackout. `freeze` to
 * `mount` occur in a kernel update only, `quit` in one of QEMU, `preserve` where memory is handed over.
 */
export const PHASES = [
  /** Virtual CPUs stopped → device state in its file and on record. */
  'save',
  /** → The old QEMU has ended. */
  'quit',
  /** → All guests saved, pools frozen; disks written, where no memory is handed over. */
  'freeze',
  /** → Files handed over, disks written. */
  'preserve',
  /** → The next kernel's clock runs. */
  'jump',
  /** → Mounting begins, or what lets guests go on before it. */
  'boot',
  /** → The pool serves. */
  'mount',
  /** → The resumption of a saved guest begins. */
  'wait',
  /** → The next QEMU's process runs. */
  'launch',
  /** → QEMU answers on QMP. */
  'start',
  /** → Device state loaded. */
  'load',
  /** → Virtual CPUs run. */
  'continue',
] as const
export type Phase = (typeof PHASES)[number]

export interface PhaseTime {
  readonly phase: Phase
  /** From the beginning of the live update. */
  readonly startUs: number
  readonly durationUs: number
}

/**
 * 'updated'; 'resumed': it was saved or stopped, and runs; 'rolled-back': it runs in the QEMU it had, or in
 * one of the same binary; 'saved': its RAM and state file are kept, no QEMU runs it; 'stranded': it is
 * stopped in a QEMU; 'refused': the preflight refused it, nothing was done to it.
 */
export const VM_OUTCOMES = ['updated', 'resumed', 'rolled-back', 'saved', 'stranded', 'refused'] as const
export type VmOutcome = (typeof VM_OUTCOMES)[number]

export interface VmTimeline {
  readonly name: string
  readonly ramBytes: number
  readonly outcome: VmOutcome
  /** What went wrong, and how to go on; null if nothing did. */
  readonly problem: string | null
  readonly qemuBefore: string
  readonly qemuAfter: string | null
  readonly stateBytes: number
  readonly phases: readonly PhaseTime[]
  /** From the stop of its virtual CPUs to their start; null if it was paused, or does not run. */
  readonly blackoutUs: number | null
  /**
   * Of an update of QEMU alone: why its old QEMU had to end before the next one was started; null: the next
   * one was started first. Left out elsewhere.
   */
  readonly quitFirst?: string | null
}

/** Milliseconds since the epoch, with a fraction: the clock of QEMU's event times, finer than Date.now(). */
export function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

/** Collects the phases of one VM as they end. */
export class PhaseClock {
  readonly #originMs: number
  readonly #phases: PhaseTime[] = []
  #lastMs: number
  #stoppedAtMs: number | undefined

  /** `originMs`: the beginning of the whole update. */
  constructor(originMs: number) {
    this.#originMs = originMs
    this.#lastMs = nowMs()
  }

  /** The guest was stopped at `atMs`, where the first phase begins. */
  stopped(atMs: number): void {
    this.#stoppedAtMs = atMs
    this.#lastMs = atMs
  }

  ended(phase: Phase, atMs = nowMs()): void {
    const startUs = toUs(this.#lastMs - this.#originMs)
    this.#phases.push({ phase, startUs, durationUs: Math.max(0, toUs(atMs - this.#lastMs)) })
    this.#lastMs = atMs
  }

  get phases(): readonly PhaseTime[] {
    return this.#phases
  }

  /** Of a guest that ran before and runs now. */
  get blackoutUs(): number | null {
    return this.#stoppedAtMs === undefined ? null : toUs(this.#lastMs - this.#stoppedAtMs)
  }
}

/** Whole microseconds. */
export const toUs = (ms: number): number => Math.round(ms * 1000)
