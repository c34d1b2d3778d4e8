/**
 * Signals that would end this process in the middle of an update, deferred: the update checks for them
 * between two steps, where it can still be undone, or at its end.
 */
import { constants } from 'node:os'
import { UsageError } from '../values/errors.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class DeferredSignals {
  #signal: NodeJS.Signals | undefined
  readonly #note = (signal: NodeJS.Signals): void => {
    this.#signal ??= signal
  }

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#note)
  }

  /** Errors (UsageError): there was a signal. */
  check(): void {
    if (this.#signal !== undefined) throw new UsageError(`stopped by ${this.#signal}`)
  }

  /** The exit status for the first signal, as of a shell: 128 + signal; undefined: there was none. */
  get status(): number | undefined {
    return this.#signal === undefined ? undefined : 128 + constants.signals[this.#signal]
  }

  /** From here on a signal ends this process again. */
  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#note)
  }
}
