/**
 * Guest RAM that is mapped through windows of /dev/mem: the offset of each, and whether a process maps it.
 * There are no nodes: every process that may open /dev/mem can map any window, so the worker searches for
 * holders of released memory once more before it zeroes it (range-zeroing.ts), and no file gets a block that
 * a process maps.
 */
import type { Holder } from '../../linux/holders.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Mapping } from '../../values/mapping.ts'
import { type Refusal, WAIT_FOR_STORE, type Wait } from '../../values/refusal.ts'
import type { RamBlocks } from '../carve-out/carve-out-ram.ts'
import type { DataChunks } from '../carve-out/data-chunks.ts'
import { type RegionLayout, rangesOf } from '../carve-out/layout.ts'
import type { WorkerPort } from '../carve-out/worker-client.ts'
import type { Extent, Placement } from '../store.ts'

/** After a search has found a process that maps an object, the store asks for the next one no earlier. */
const LOOK_AGAIN_MS = 1000
/**
 * How long the answer is valid that no process maps an object: until the server has retried the operations
 * that waited for it, and no longer. A process may map any window at any time, so an answer that none of them
 * used expires.
 */
const FREE_COUNTS_MS = 100

interface Window {
  extents: readonly Extent[]
  isBusy: boolean
  /** Until then the answer is valid that no process maps it: returned once, to the next caller. */
  freeUntilMs: number
  heldBy: Holder | undefined
  lookAgainAtMs: number
}

export class DevmemGuestRam implements RamBlocks {
  readonly via = 'devmem'
  readonly #layout: RegionLayout
  readonly #worker: WorkerPort
  readonly #chunks: DataChunks
  readonly #memoryPath: string
  readonly #windows = new Map<ObjectId, Window>()

  constructor(deps: { layout: RegionLayout; worker: WorkerPort; chunks: DataChunks; memoryPath: string }) {
    this.#layout = deps.layout
    this.#worker = deps.worker
    this.#chunks = deps.chunks
    this.#memoryPath = deps.memoryPath
  }

  left(): ObjectId[] {
    return []
  }

  adopt(object: ObjectId, extents: readonly Extent[]): void {
    this.#windows.set(object, {
      extents,
      isBusy: false,
      freeUntilMs: 0,
      heldBy: undefined,
      lookAgainAtMs: 0,
    })
  }

  /** First gives up data chunks whose blocks a guest gets: the server must not map them any longer. */
  resize(object: ObjectId, extents: readonly Extent[]): Refusal | undefined {
    const refused = this.#chunks.surrender(extents)
    if (refused) return refused
    const window = this.#windows.get(object)
    if (window === undefined) this.adopt(object, extents)
    else {
      window.extents = extents
      window.freeUntilMs = 0
    }
    return undefined
  }

  isHeld(object: ObjectId): boolean | Wait {
    const window = this.#windows.get(object)
    if (window === undefined || window.extents.length === 0) return false
    if (window.isBusy) return WAIT_FOR_STORE
    const nowMs = performance.now()
    if (nowMs < window.freeUntilMs) {
      window.freeUntilMs = 0
      return false
    }
    if (nowMs < window.lookAgainAtMs) return true
    this.#look(window)
    return WAIT_FOR_STORE
  }

  holder(object: ObjectId): Holder | undefined {
    return this.#windows.get(object)?.heldBy
  }

  release(object: ObjectId): void {
    this.#windows.delete(object)
  }

  /** A window is one range, which the allocator guarantees. */
  mapping(_: ObjectId, { guestRam, extents }: Placement): Extract<Mapping, { via: 'devmem' | 'none' }> {
    const [range, another] = guestRam ? rangesOf(this.#layout, extents) : []
    if (range === undefined || another !== undefined) return { via: 'none' }
    return { via: 'devmem', path: this.#memoryPath, offsetBytes: range.start }
  }

  #look(window: Window): void {
    const { extents } = window
    window.isBusy = true
    this.#worker.send('free', rangesOf(this.#layout, extents), (result) => {
      const nowMs = performance.now()
      window.isBusy = false
      window.heldBy = result.kind === 'held' ? result.by : undefined
      if (result.kind !== 'done') window.lookAgainAtMs = nowMs + LOOK_AGAIN_MS
      // An answer about extents that have changed since is dropped.
      else if (window.extents === extents) window.freeUntilMs = nowMs + FREE_COUNTS_MS
    })
  }
}
