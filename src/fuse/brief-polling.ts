/**
 * Decides whether to look for the next request for a moment before the thread sleeps. A caller that does one
 * operation after the other sends its next request within some ten microseconds, and a processor that has
 * nothing else to do takes longer than that to wake up. Where no request came in time, for instance because
 * the caller needs this very processor, fewer and fewer of the next waits begin so: on a machine that is busy
 * almost none does. KVM polls before it halts a processor by the same rule (virt/kvm/kvm_main.c,
 * `halt_poll_ns`).
 */

/** So long at most. */
const POLL_MS = 0.05
/** So many waits begin without it once it has failed again and again. */
const MAX_SKIPPED = 1023

export class BriefPolling {
  readonly #isReady: () => boolean
  readonly #meanwhile: () => void
  readonly #nowMs: () => number
  /** How many waits the next failure skips, and how many are still to be skipped. */
  #penalty = 1
  #skipped = 0

  /**
   * `isReady`: whether a request can be read; never sleeps. `meanwhile`: called each time that none can;
   * takes some microseconds at most, which the next request may have to wait.
   */
  constructor(isReady: () => boolean, meanwhile: () => void, nowMs: () => number = () => performance.now()) {
    this.#isReady = isReady
    this.#meanwhile = meanwhile
    this.#nowMs = nowMs
  }

  /** Called before the thread would sleep. True: a request can be read. */
  poll(): boolean {
    if (this.#skipped > 0) {
      this.#skipped--
      return false
    }
    const untilMs = this.#nowMs() + POLL_MS
    do {
      if (this.#isReady()) {
        this.#penalty = Math.max(1, this.#penalty >> 1)
        return true
      }
      this.#meanwhile()
    } while (this.#nowMs() < untilMs)
    this.#skipped = this.#penalty
    this.#penalty = Math.min(2 * this.#penalty + 1, MAX_SKIPPED)
    return false
  }
}
