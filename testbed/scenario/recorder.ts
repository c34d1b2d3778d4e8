/** The record of one run: phases, asserted and kept facts, guests; and the verdict that follows from them. */
import assert from 'node:assert/strict'
import type { Accelerator } from '../guests/kvm-probe.ts'
import type { Boot } from '../machine/boot-clock.ts'
import type { Log } from '../machine/log.ts'
import { type Continuity, GuestLog } from './guest-log.ts'
import { Progress } from './progress.ts'
import type { GuestEvidence } from './verdict.ts'

export interface Phase {
  readonly name: string
  /** From the start of the run. */
  readonly startMs: number
  readonly durationMs: number
}

export type Verdict = 'passed' | 'failed' | 'emulator'

/** The summary of a run. Times are milliseconds by the clock outside the host. */
export interface Summary {
  readonly scenario: string
  /** `emulator`: by the evidence the emulator failed (verdict.ts), so the run proves nothing. */
  readonly verdict: Verdict
  readonly failure?: string
  /** Why the failure is the emulator's. */
  readonly emulator?: string
  readonly accelerator: Accelerator | 'never started'
  /** Every kernel that ran, in order. */
  readonly boots: readonly Boot[]
  readonly phases: readonly Phase[]
  readonly guests: Readonly<Record<string, Continuity>>
  /** Facts that the scenario asserted, and that held. */
  readonly asserted: Readonly<Record<string, unknown>>
  /** Facts that the scenario only recorded. */
  readonly kept: Readonly<Record<string, unknown>>
  /** Consoles of all kernels and logs of all programs; absent when nothing was kept. */
  readonly folder?: string
}

/** Characters of an asserted value that are shown while the scenario runs. */
const MAX_SHOWN = 160

export class Recorder {
  failure: string | undefined
  /** Set where the failure is the emulator's. */
  emulator: string | undefined
  accelerator: Accelerator | undefined
  boots: readonly Boot[] = []
  readonly #startMs = performance.now()
  readonly #progress = new Progress()
  readonly #phases: Phase[] = []
  readonly #asserted: Record<string, unknown> = {}
  readonly #kept: Record<string, unknown> = {}
  readonly #guests = new Map<string, GuestLog>()

  async phase<T>(name: string, work: () => Promise<T>, detail?: () => string): Promise<T> {
    const startMs = performance.now()
    try {
      return await this.#progress.show(name, work, detail)
    } finally {
      const durationMs = Math.round(performance.now() - startMs)
      this.#phases.push({ name, startMs: Math.round(startMs - this.#startMs), durationMs })
    }
  }

  keep(name: string, value: unknown): void {
    this.#kept[name] = value
    this.#progress.say(`  ${name}: ${typeof value === 'string' ? value : inOneLine(value)}`)
  }

  expect<T>(name: string, value: T, wanted: T | RegExp): void {
    if (wanted instanceof RegExp)
      assert.match(String(value), wanted, `${name}: ${inWords(value)} is not ${wanted}`)
    else assert.deepEqual(value, wanted, `${name}: ${inWords(value)} is not ${inWords(wanted)}`)
    this.#asserted[name] = value
    this.#progress.say(`  ${name}: ${inOneLine(value)} ✓`)
  }

  /** `toldAtMs`: as of `GuestLog`. */
  guest(log: Log, toldAtMs: (tick: number) => number | undefined): GuestLog {
    let guest = this.#guests.get(log.name)
    if (guest === undefined) {
      guest = new GuestLog(log, toldAtMs)
      this.#guests.set(log.name, guest)
    }
    return guest
  }

  /** A run is only good when every guest in it ran on unbroken. */
  judgeGuests(): void {
    for (const [name, guest] of this.#guests) {
      const { broken, before, after, silenceMs } = guest.continuity()
      this.#progress.say(
        `  ${name}: tick ${before}, ${(silenceMs / 1000).toFixed(1)} s of silence, tick ${after}`,
      )
      if (broken !== undefined) this.failure ??= `guest ${name}: ${broken}`
    }
  }

  /** What the guests' logs show, for the verdict. */
  guestEvidence(): GuestEvidence[] {
    return [...this.#guests.values()].map((guest) => guest.evidence())
  }

  #verdict(): Verdict {
    if (this.failure === undefined) return 'passed'
    return this.emulator === undefined ? 'failed' : 'emulator'
  }

  /**
   * Inverts the verdict of a run with a seeded fault: it is good when it failed, for that reason, and nothing
   * excused it. Where the emulator failed before the fault could show, that stands.
   */
  judgeSeeded(wanted: RegExp): void {
    const { failure, emulator } = this
    if (failure === undefined) this.failure = 'the seeded fault was not noticed'
    else if (!wanted.test(failure)) {
      if (emulator === undefined) this.failure = `not what was seeded: ${failure}`
    } else if (emulator !== undefined) {
      this.failure = `the seeded fault was taken for the emulator's: ${emulator}`
      this.emulator = undefined
    } else {
      this.failure = undefined
      this.#asserted['called a failure'] = failure
    }
  }

  /**
   * Inverts the verdict of a run that did what the emulator does wrong: it is good when it was excused for
   * it. On a machine without an emulator nothing may be excused.
   */
  judgeExcused(wanted: RegExp): void {
    const { failure, emulator } = this
    if (failure === undefined) this.failure = 'what was done to the guest was not noticed'
    else if (this.accelerator === 'kvm' && emulator === undefined) {
      this.failure = undefined
      this.#asserted['called a failure, without an emulator'] = failure
    } else if (emulator !== undefined && wanted.test(emulator)) {
      this.failure = undefined
      this.emulator = undefined
      this.#asserted['called the emulator'] = emulator
    }
  }

  summary(scenario: string, folder: string | undefined): Summary {
    const guests = [...this.#guests].map(([name, guest]) => [name, guest.continuity()])
    return {
      scenario,
      verdict: this.#verdict(),
      ...(this.failure === undefined ? {} : { failure: this.failure }),
      ...(this.emulator === undefined ? {} : { emulator: this.emulator }),
      accelerator: this.accelerator ?? 'never started',
      boots: this.boots,
      phases: this.#phases,
      guests: Object.fromEntries(guests),
      asserted: this.#asserted,
      kept: this.#kept,
      ...(folder === undefined ? {} : { folder }),
    }
  }
}

/** The summary has all of it. */
function inOneLine(value: unknown): string {
  const [line = '', ...more] = inWords(value).split('\n')
  return more.length > 0 || line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)}…` : line
}

const inWords = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
