/**
 * Signals that would end this process in the middle of a kernel update, deferred: they are looked at between
 * two steps, where an update can still be undone.
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

  /** From here on a signal ends this process again. */
  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#note)
  }
}
