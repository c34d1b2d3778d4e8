/**
 * Owns that a person may change their mind while a host is on its way to the jump: a signal does not end this process then,
 * it is asked after between two steps, and what was begun is undone.
 */
import { UsageError } from '../../values/errors.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class DeferredSignals {
  #signal: NodeJS.Signals | undefined
  readonly #note = (signal: NodeJS.Signals): void => {
    this.#signal = signal
  }

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#note)
  }

  /** Errors (UsageError): there was a signal. */
  check(): void {
    if (this.#signal !== undefined) throw new UsageError(`stopped by ${this.#signal}`)
  }

  /** Signals mean what they mean to others again. */
  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#note)
  }
}
