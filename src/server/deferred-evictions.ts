/**
 * Owns the end of unlinked files that the kernel has forgotten, put off until nobody waits: `rm` is over when its names are
 * gone. They end when the mount is idle, and where it never is, one with each reply once they have waited long enough. Until then
 * nothing of the FORGET was done, so that a successor finds a file the kernel has forgotten, as after any FORGET that died
 * with its server (`KernelView.settleOrphans`). A file is never shown, mapped or found again in between: it has no name.
 */
import type { FileSystem, OwnRequest } from '../fs/file-system.ts'
import type { NodeId } from '../values/ids.ts'
import type { KernelView } from './kernel-view.ts'

interface Eviction {
  readonly nodeId: NodeId
  readonly count: number
  readonly sinceMs: number
}

/** The list is bounded: from here on each new one ends an old one. */
const MAX_WAITING = 1024
/** How long memory may stay taken on a busy mount. */
const MAX_WAIT_MS = 100
/** So many at a time on an idle mount: whoever comes next waits for less than a millisecond. */
const PORTION = 32

export class DeferredEvictions {
  readonly #fs: FileSystem
  readonly #kernel: KernelView
  readonly #ownWork: () => OwnRequest
  /** Oldest first, from `#next` on. */
  #waiting: Eviction[] = []
  #next = 0

  constructor(fs: FileSystem, kernel: KernelView, ownWork: () => OwnRequest) {
    this.#fs = fs
    this.#kernel = kernel
    this.#ownWork = ownWork
  }

  get size(): number {
    return this.#waiting.length - this.#next
  }

  /** The kernel takes back `count` lookups of `nodeId`. What still has a name, or is still known, is dealt with at once. */
  forget(nodeId: NodeId, count: number): void {
    if (!this.#kernel.isLastOfOrphan(nodeId, count)) this.#end(nodeId, count)
    else {
      this.#waiting.push({ nodeId, count, sinceMs: performance.now() })
      if (this.size > MAX_WAITING) this.#endOne()
    }
  }

  /** The mount is busy: one that has waited for long ends all the same. */
  endDue(): void {
    const oldest = this.#waiting[this.#next]
    if (oldest !== undefined && performance.now() - oldest.sinceMs > MAX_WAIT_MS) this.#endOne()
  }

  /** The mount is idle. */
  endSome(): void {
    for (let left = PORTION; left > 0 && this.size > 0; left--) this.#endOne()
  }

  #endOne(): void {
    const eviction = this.#waiting[this.#next]
    if (eviction === undefined) return
    this.#next++
    if (this.size === 0) {
      this.#waiting = []
      this.#next = 0
    }
    this.#end(eviction.nodeId, eviction.count)
  }

  /** Before anybody is told what is left: free blocks, orphans; and before what is left is frozen. */
  endAll(): void {
    while (this.size > 0) this.#endOne()
  }

  #end(nodeId: NodeId, count: number): void {
    const forgotten = this.#kernel.forget(nodeId, count)
    // Held, frozen or out of room: it stays an orphan, and is tried again every now and then.
    if (forgotten?.links === 0) this.#fs.evict(this.#ownWork(), forgotten.ino)
  }
}
