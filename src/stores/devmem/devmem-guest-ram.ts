/**
 * Guest RAM that is mapped through windows of /dev/mem: where each one lies, and whether a process maps it.
 * Nothing is published and nothing taken away: every process that may open /dev/mem can map any window, so
 * memory that was given up is looked at once more before it is zeroed (range-zeroing.ts), and a block that a
 * process maps is never handed out.
 */
import type { Holder } from '../../linux/holders.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Mapping } from '../../values/mapping.ts'
import { type Refusal, WAIT_FOR_STORE, type Wait } from '../../values/refusal.ts'
import type { RamBlocks } from '../carve-out/carve-out-ram.ts'
import type { DataChunks } from '../carve-out/data-chunks.ts'
import { type Layout, rangesOf } from '../carve-out/layout.ts'
import type { WorkerPort } from '../carve-out/worker-client.ts'
import type { Extent, Placement } from '../store.ts'

/** After a process was found to map an object, holders are not looked for again before so long. */
const LOOK_AGAIN_MS = 1000
/**
 * So long it counts that no process was found to map an object: until the operations that waited for the
 * answer are retried, and no longer. A process may map any window at any time, so an answer that none of them
 * used is asked for again.
 */
const FREE_COUNTS_MS = 100

interface Window {
  extents: readonly Extent[]
  isBusy: boolean
  /** Until then it counts that no process maps it: reported once, to the next caller. */
  freeUntilMs: number
  heldBy: Holder | undefined
  lookAgainAtMs: number
}

export class DevmemGuestRam implements RamBlocks {
  readonly via = 'devmem'
  readonly #layout: Layout
  readonly #worker: WorkerPort
  readonly #chunks: DataChunks
  readonly #memoryPath: string
  readonly #windows = new Map<ObjectId, Window>()

  constructor(deps: { layout: Layout; worker: WorkerPort; chunks: DataChunks; memoryPath: string }) {
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

  /** What was a data chunk is mapped by us no longer once a guest has its blocks. */
  resize(object: ObjectId, extents: readonly Extent[]): Refusal | undefined {
    const inTheWay = this.#chunks.surrender(extents)
    if (inTheWay) return inTheWay
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

  /** A window is one range: the allocator has seen to that. */
  mapping(_: ObjectId, { guestRam, extents }: Placement): Extract<Mapping, { via: 'devmem' | 'none' }> {
    const [range, another] = guestRam ? rangesOf(this.#layout, extents) : []
    if (range === undefined || another !== undefined) return { via: 'none' }
    return { via: 'devmem', path: this.#memoryPath, offsetBytes: range.start }
  }

  #look(window: Window): void {
    const { extents } = window
    window.isBusy = true
    this.#worker.ask('free', rangesOf(this.#layout, extents), (result) => {
      const nowMs = performance.now()
      window.isBusy = false
      window.heldBy = result.kind === 'held' ? result.by : undefined
      if (result.kind !== 'done') window.lookAgainAtMs = nowMs + LOOK_AGAIN_MS
      // An answer about other extents than it has by now is none.
      else if (window.extents === extents) window.freeUntilMs = nowMs + FREE_COUNTS_MS
    })
  }
}
