/**
 * Owns the requests whose operation waits for slow work: nothing of them was carried out that could not be done again, so
 * they are simply asked again every now and then and when some work has finished, in the order they came. The kernel keeps waiting for each; a
 * successor gets them sent again. One whose caller was sent a signal is not asked again: without that a process that waits
 * for gigabytes to be zeroed could not be killed.
 */
import type { HandledRequest } from '../fuse/session.ts'

export class ParkedRequests {
  #requests: HandledRequest[] = []
  readonly #interrupted = new Set<bigint>()

  /** Data is a view of the read buffer, which the next request overwrites: what waits keeps its own. */
  add(request: HandledRequest): void {
    this.#requests.push('data' in request ? { ...request, data: Uint8Array.from(request.data) } : request)
  }

  /** Whoever asked was sent a signal. True when `unique` waits here: it is over with its next turn. */
  interrupt(unique: bigint): boolean {
    const waits = this.#requests.some(({ header }) => header.unique === unique)
    if (waits) this.#interrupted.add(unique)
    return waits
  }

  /** Whether `request`, which was taken, is to be answered EINTR instead. Asking forgets it. */
  takeInterrupted({ header }: HandledRequest): boolean {
    return this.#interrupted.delete(header.unique)
  }

  /** All that wait; those that have to go on waiting are added again. */
  take(): readonly HandledRequest[] {
    const requests = this.#requests
    this.#requests = []
    return requests
  }

  get size(): number {
    return this.#requests.length
  }
}
