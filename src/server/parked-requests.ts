/**
 * Requests whose operation returned a Wait. Nothing was committed for them; the server retries each, in the
 * order in which they came, after every event of the store and every 20 ms. Their callers wait in the kernel,
 * which sends the requests again after a restart of the server (RESEND). One whose caller got a signal
 * (INTERRUPT) is answered EINTR instead: otherwise a process that waits for gigabytes to be zeroed could not
 * be killed.
 */
import type { HandledRequest } from '../fuse/session.ts'

export class ParkedRequests {
  #requests: HandledRequest[] = []
  readonly #interrupted = new Set<bigint>()

  /**
   * `data` is a view of the read buffer, which the next request overwrites: a parked request keeps a copy.
   */
  add(request: HandledRequest): void {
    this.#requests.push('data' in request ? { ...request, data: Uint8Array.from(request.data) } : request)
  }

  /** The caller of `unique` got a signal. True when that request is parked: its next retry answers EINTR. */
  interrupt(unique: bigint): boolean {
    const isParked = this.#requests.some(({ header }) => header.unique === unique)
    if (isParked) this.#interrupted.add(unique)
    return isParked
  }

  /** Whether `request`, which was taken, is to be answered EINTR instead. Clears the mark. */
  takeInterrupted({ header }: HandledRequest): boolean {
    return this.#interrupted.delete(header.unique)
  }

  /** All of them, oldest first; the caller adds those again that still have to wait. */
  take(): readonly HandledRequest[] {
    const requests = this.#requests
    this.#requests = []
    return requests
  }

  get size(): number {
    return this.#requests.length
  }
}
