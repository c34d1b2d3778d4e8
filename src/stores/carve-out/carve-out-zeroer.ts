/**
 * The store's side of zeroing: gives the worker one extent at a time, and reports it once it is zero, or
 * cannot be zeroed.
 */
import { errnoFromCode } from '../../values/errno.ts'
import type { Extent, RefusedExtent, Zeroer } from '../store.ts'
import { type RegionLayout, rangesOf } from './layout.ts'
import type { WorkerPort } from './worker-client.ts'

export class CarveOutZeroer implements Zeroer {
  readonly #layout: RegionLayout
  readonly #worker: WorkerPort
  #isBusy = false
  readonly #finished: Extent[] = []
  readonly #refused: RefusedExtent[] = []

  constructor(layout: RegionLayout, worker: WorkerPort) {
    this.#layout = layout
    this.#worker = worker
  }

  start(extent: Extent): boolean {
    if (this.#isBusy) return false
    this.#isBusy = true
    this.#worker.send('clear', rangesOf(this.#layout, [extent]), (result) => {
      this.#isBusy = false
      if (result.kind === 'failed') this.#refused.push({ extent, errno: errnoFromCode(result.errnoCode) })
      else this.#finished.push(extent)
    })
    return true
  }

  finished(): Extent[] {
    return this.#finished.splice(0)
  }

  refused(): RefusedExtent[] {
    return this.#refused.splice(0)
  }

  get progressBytes(): number {
    return this.#worker.progressBytes
  }
}
