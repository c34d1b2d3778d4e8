/** How a pool's former servers ended, as far as its next server depends on it. */
import type { ServerEnd } from './server-process.ts'

export class ServerHistory {
  #restarts = 0
  #isCrashed = false
  #mayHaveLostPages = false

  get restarts(): number {
    return this.#restarts
  }

  /** The last server ended by itself: the request that it was handling may be the cause. */
  get isCrashed(): boolean {
    return this.#isCrashed
  }

  /**
   * A server died of SIGBUS, and none has read the image since. The server moves bytes of files by system
   * calls, so the poisoned page that it touched was in one of the pool's areas.
   */
  get mayHaveLostPages(): boolean {
    return this.#mayHaveLostPages
  }

  /**
   * A server that served has ended. One that was killed from outside had no fault; one that ended by itself
   * may do so again at once.
   */
  ended(end: ServerEnd): void {
    this.#restarts++
    this.#isCrashed = !(end.kind === 'died' && end.how === 'SIGKILL')
    this.endedEarly(end)
  }

  /** A server has ended that had not read the image. */
  endedEarly(end: ServerEnd): void {
    if (end.kind === 'died' && end.how === 'SIGBUS') this.#mayHaveLostPages = true
  }

  hasReadImage(): void {
    this.#mayHaveLostPages = false
  }
}
