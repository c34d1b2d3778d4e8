/**
 * Owns guest RAM that is reached through windows of /dev/mem: where each one lies, and whether somebody maps it. Nothing is
 * published and nothing taken away: whoever may open /dev/mem can map any window, so memory that was given up is looked at
 * once more before it is zeroed (zeroing.ts), and a block that somebody maps is never handed out.
 */
import type { Holder } from '../../linux/holders.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { ObjectId } from '../../values/ids.ts'
import { type Refusal, WAIT_FOR_STORE, type Wait } from '../../values/refusal.ts'
import type { DataChunks } from '../carve-out/data-chunks.ts'
import type { GuestRam } from '../carve-out/guest-ram.ts'
import { type Layout, rangesOf } from '../carve-out/layout.ts'
import type { WorkerPort } from '../carve-out/worker-client.ts'
import type { Exposure, Extent } from '../store.ts'

/** After somebody was found to map a memory, nobody is looked for again before so long. */
const LOOK_AGAIN_MS = 1000

interface Window {
  extents: readonly Extent[]
  underWay: boolean
  /** Nobody maps it: told once, to whoever asks next. */
  isFree: boolean
  heldBy: Holder | undefined
  lookAgainAtMs: number
}

export class WindowRam implements GuestRam {
  readonly #layout: Layout
  readonly #worker: WorkerPort
  readonly #chunks: DataChunks
  readonly #memoryPath: string
  readonly #windows = new Map<ObjectId, Window>()

  constructor(given: { layout: Layout; worker: WorkerPort; chunks: DataChunks; memoryPath: string }) {
    this.#layout = given.layout
    this.#worker = given.worker
    this.#chunks = given.chunks
    this.#memoryPath = given.memoryPath
  }

  left(): ObjectId[] {
    return []
  }

  adopt(object: ObjectId, extents: readonly Extent[]): void {
    this.#windows.set(object, {
      extents,
      underWay: false,
      isFree: false,
      heldBy: undefined,
      lookAgainAtMs: 0,
    })
  }

  /** What was a data chunk is mapped by us no longer once a guest has its blocks. */
  resize(object: ObjectId, extents: readonly Extent[]): Refusal | undefined {
    const inTheWay = this.#chunks.yield(extents)
    if (inTheWay) return inTheWay
    const window = this.#windows.get(object)
    if (window === undefined) this.adopt(object, extents)
    else window.extents = extents
    return undefined
  }

  isHeld(object: ObjectId): boolean | Wait {
    const window = this.#windows.get(object)
    if (window === undefined || window.extents.length === 0) return false
    if (window.underWay) return WAIT_FOR_STORE
    if (window.isFree) {
      window.isFree = false
      return false
    }
    if (performance.now() < window.lookAgainAtMs) return true
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
  expose(_memory: ObjectId, extents: readonly Extent[]): Exposure {
    const [range, another] = rangesOf(this.#layout, extents)
    if (range === undefined || another !== undefined) return { kind: 'none' }
    return { kind: 'window', path: this.#memoryPath, offsetBytes: range.start }
  }

  publish(object: ObjectId): Refusal | undefined {
    throw hasNoNode(object)
  }

  nodePath(object: ObjectId): string {
    throw hasNoNode(object)
  }

  nodeOwner(): undefined {}

  #look(window: Window): void {
    window.underWay = true
    this.#worker.ask('free', rangesOf(this.#layout, window.extents), (result) => {
      window.underWay = false
      window.heldBy = result.kind === 'held' ? result.by : undefined
      window.isFree = result.kind === 'done'
      if (!window.isFree) window.lookAgainAtMs = performance.now() + LOOK_AGAIN_MS
    })
  }
}

const hasNoNode = (object: ObjectId) =>
  new BrokenInvariantError(`memory ${object} is a window of /dev/mem: it needs no node`)
