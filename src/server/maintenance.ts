/**
 * The work of a server between requests: end deferred evictions, retry orphans, zero free blocks, report
 * released objects to the keeper, and store the mount's alignment once the pool is thawed. Each method is
 * called at one point of the session; it first frees memory, then zeroes it, and its caller then retries the
 * requests that wait for memory. Must not: touch the mount (docs/internals/deadlocks.md), or take longer than
 * a request may wait.
 */
import type { Fd, Ino } from '../values/ids.ts'
import { storeAlignment } from './alignment-xattr.ts'
import type { Context } from './context.ts'
import { adoptNodeOwners } from './node-owners.ts'
import { Zeroing } from './zeroing.ts'

/** How often the server looks again whether an orphan is still mapped. */
const ORPHAN_RETRY_MS = 1000
/**
 * How long the server may wait before it reports released objects to the keeper, and before it retries a
 * request that is parked.
 */
const FLUSH_MS = 20

export class Maintenance {
  readonly #context: Context
  readonly #zeroing: Zeroing
  /**
   * The alignment that the mount asked for, kept until the pool is thawed: after a live update a pool is
   * frozen.
   */
  #pendingAlignment: number | null

  constructor(context: Context, alignBytes: number | null) {
    this.#context = context
    this.#zeroing = new Zeroing(context.fs, context.store, () => context.internal)
    this.#pendingAlignment = alignBytes
  }

  /** Called before the first request. */
  start(): void {
    this.#storeAlignment()
    this.#zeroing.advance()
  }

  afterReply(): void {
    this.#context.evictions.endDue()
    this.#storeAlignment()
    this.#zeroing.advance()
  }

  /** A FORGET may have freed memory, and a request that was parked may wait for some to be zeroed. */
  afterNoReply(): void {
    this.#zeroing.advance()
  }

  get hasIdleWork(): boolean {
    return this.#context.evictions.size > 0
  }

  whenIdle(): void {
    this.#context.evictions.endSome()
    this.#zeroing.advance()
  }

  /**
   * The next request is on its way. An eviction is mostly over before it comes; that of a file in thousands
   * of extents takes as long as when the mount is idle, and the request waits for it.
   */
  betweenRequests(): void {
    if (this.#context.evictions.size === 0) return
    this.#context.evictions.endOne()
    this.#zeroing.advance()
  }

  /** undefined: `onTimer` has nothing to do. */
  get timerMs(): number | undefined {
    const { store, parked, fs } = this.#context
    if (store.pending?.isPending || parked.size > 0) return FLUSH_MS
    return (
      store.events?.checkMs ?? (fs.orphanCount > 0 || fs.oversizedCount > 0 ? ORPHAN_RETRY_MS : undefined)
    )
  }

  onTimer(): void {
    this.#context.store.events?.check?.()
    this.#context.store.pending?.flush()
    this.#context.evictions.endSome()
    this.#retryOrphans()
    this.#context.fs.retryShrinks()
    this.#zeroing.advance()
  }

  /** undefined: no background work is under way. */
  get eventsFd(): Fd | undefined {
    return this.#context.store.events?.fd
  }

  onEvents(): void {
    this.#context.store.events?.drain()
    this.#retryOrphans()
    this.#zeroing.advance()
  }

  /**
   * The connection is gone, and the kernel references nothing more: the caller counts next what is left in
   * the pool.
   */
  end(): void {
    this.#context.evictions.endAll()
    adoptNodeOwners(this.#context)
  }

  #storeAlignment(): void {
    if (this.#pendingAlignment === null || this.#context.fs.frozen) return
    storeAlignment(this.#context.fs, this.#context.internal, this.#pendingAlignment)
    this.#pendingAlignment = null
  }

  #retryOrphans(): void {
    const { fs, kernel, internal } = this.#context
    fs.retryOrphans(internal, (ino: Ino) => kernel.isReferenced(ino))
  }
}
