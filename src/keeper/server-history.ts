/** What the ends of a pool's former servers mean for the next one. */
import type { ServerEnd } from './server-process.ts'

export class ServerHistory {
  #restarts = 0
  #isCrashed = false
  #mayHaveLostPages = false

  get restarts(): number {
    return this.#restarts
  }

  /** The last server ended by itself: the request it was at may be why. */
  get isCrashed(): boolean {
    return this.#isCrashed
  }

  /**
   * A server died of SIGBUS, and none has read the image since. Bytes of files are moved by system calls, so
   * what it touched and the machine has lost was one of the pool's areas.
   */
  get mayHaveLostPages(): boolean {
    return this.#mayHaveLostPages
  }

  /**
   * One that served. Whoever is killed from outside did nothing wrong; whoever ends by itself may do so again
   * at once.
   */
  ended(end: ServerEnd): void {
    this.#restarts++
    this.#isCrashed = !(end.kind === 'died' && end.how === 'SIGKILL')
    this.endedEarly(end)
  }

  /** One that has not read the image. */
  endedEarly(end: ServerEnd): void {
    if (end.kind === 'died' && end.how === 'SIGBUS') this.#mayHaveLostPages = true
  }

  hasReadImage(): void {
    this.#mayHaveLostPages = false
  }
}
