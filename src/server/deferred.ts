/**
 * Owns the requests whose operation waits for slow work: nothing of them was carried out that could not be done again, so
 * they are simply asked again every now and then and when some work has finished, in the order they came. The kernel keeps waiting for each; a
 * successor gets them sent again.
 */
import type { HandledRequest } from '../fuse/session.ts'

export class Deferred {
  #requests: HandledRequest[] = []

  /** Data is a view of the read buffer, which the next request overwrites: what waits keeps its own. */
  add(request: HandledRequest): void {
    this.#requests.push('data' in request ? { ...request, data: Uint8Array.from(request.data) } : request)
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
