/**
 * Deferred eviction. The last FORGET of an unlinked inode only queues it, so that `rm` is over when its names
 * are gone. The record is written when the mount is idle, one at a time while the next request is on its way,
 * or, on a mount that is busier, one with each reply after MAX_WAIT_MS. Until then nothing of the FORGET is
 * applied: the next server finds a file that the kernel has forgotten, as after any FORGET that a former
 * server had read when it died (`KernelView.takeOver`). In between the file has no name: it cannot be looked
 * up, opened or mapped.
 */
import type { FileSystem, OwnRequest } from '../fs/file-system.ts'
import type { NodeId } from '../values/ids.ts'
import type { KernelView } from './kernel-view.ts'

interface Eviction {
  readonly nodeId: NodeId
  readonly count: number
  readonly sinceMs: number
}

/** The queue is bounded: from here on each new one evicts the oldest. */
const MAX_QUEUED = 1024
/** How long an eviction may wait, and its memory stay allocated, on a busy mount. */
const MAX_WAIT_MS = 100
/** So many at a time on an idle mount: the next request waits for less than a millisecond. */
const PORTION = 32

export class DeferredEvictions {
  readonly #fs: FileSystem
  readonly #kernel: KernelView
  readonly #internal: () => OwnRequest
  /** Oldest first, from `#next` on. */
  #queue: Eviction[] = []
  #next = 0

  constructor(fs: FileSystem, kernel: KernelView, internal: () => OwnRequest) {
    this.#fs = fs
    this.#kernel = kernel
    this.#internal = internal
  }

  get size(): number {
    return this.#queue.length - this.#next
  }

  /**
   * The kernel forgets `count` lookups of `nodeId`. Only the last one of an inode without a name is deferred.
   */
  forget(nodeId: NodeId, count: number): void {
    if (!this.#kernel.isLastOfOrphan(nodeId, count)) this.#end(nodeId, count)
    else {
      this.#queue.push({ nodeId, count, sinceMs: performance.now() })
      if (this.size > MAX_QUEUED) this.endOne()
    }
  }

  /** The mount is busy: the oldest is evicted all the same once it has waited for too long. */
  endDue(): void {
    const oldest = this.#queue[this.#next]
    if (oldest !== undefined && performance.now() - oldest.sinceMs > MAX_WAIT_MS) this.endOne()
  }

  /** The mount is idle. */
  endSome(): void {
    for (let left = PORTION; left > 0 && this.size > 0; left--) this.endOne()
  }

  /** The oldest, if there is one. */
  endOne(): void {
    const eviction = this.#queue[this.#next]
    if (eviction === undefined) return
    this.#next++
    if (this.size === 0) {
      this.#queue = []
      this.#next = 0
    }
    this.#end(eviction.nodeId, eviction.count)
  }

  /**
   * Before free blocks or orphans are counted, and before a freeze, which would keep what is queued until the
   * thaw.
   */
  endAll(): void {
    while (this.size > 0) this.endOne()
  }

  #end(nodeId: NodeId, count: number): void {
    const forgotten = this.#kernel.forget(nodeId, count)
    // Still mapped, frozen, or no room for the record: it stays an orphan, and maintenance retries it.
    if (forgotten?.links === 0) this.#fs.evict(this.#internal(), forgotten.ino)
  }
}
