/** The store's end of zeroing: one extent at a time is given to the worker, and handed on once it is zero. */
import type { Extent, Zeroer } from '../store.ts'
import { type Layout, rangesOf } from './layout.ts'
import type { WorkerPort } from './worker-client.ts'

export class CarveOutZeroer implements Zeroer {
  readonly #layout: Layout
  readonly #worker: WorkerPort
  #isBusy = false
  readonly #finished: Extent[] = []

  constructor(layout: Layout, worker: WorkerPort) {
    this.#layout = layout
    this.#worker = worker
  }

  start(extent: Extent): boolean {
    if (this.#isBusy) return false
    this.#isBusy = true
    this.#worker.ask('clear', rangesOf(this.#layout, [extent]), () => {
      this.#isBusy = false
      this.#finished.push(extent)
    })
    return true
  }

  finished(): Extent[] {
    return this.#finished.splice(0)
  }

  get progressBytes(): number {
    return this.#worker.progressBytes
  }
}
