/**
 * The lock on the image of a pool of memfds: one server at a time may change the image, and holds the lock
 * from before its first store until it has ended (docs/internals/ownership.md).
 */
import { close, duplicateOver, setCloseOnExec } from '../linux/descriptors.ts'
import { isLocked, lockOwner, takeOwnLock } from '../linux/own-lock.ts'
import { EAGAIN, Errno } from '../values/errno.ts'
import { SystemCallError, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'

/**
 * How long the next server waits for the end of the former server before it serves: the keeper has killed
 * that one by then, and the kernel ends it within milliseconds.
 */
const WAIT_MS = 10_000
/**
 * How long a server that no keeper has killed may hold the lock before it counts as one that still serves:
 * many times what the end of a process takes.
 */
const LIVING_MS = 500

/** Another process holds the image's lock. */
export class ImageInUseError extends UsageError {
  readonly ownerPid: number | undefined

  constructor(pool: string, ownerPid: number | undefined) {
    super(
      `the image of pool '${pool}' is locked by ${ownerPid === undefined ? 'another process' : `process ${ownerPid}`}: two servers must not change it`,
    )
    this.ownerPid = ownerPid
  }
}

export class ImageLock {
  readonly #pool: string
  readonly #image: Fd
  readonly #place: Fd
  #own: Fd | undefined

  /**
   * `image`: the keeper's descriptor, whose open file description other processes share. `place`: a
   * descriptor with a lower number, which the lock takes. A keeper of the oldest readable version (f8cb29b),
   * which had no lock, copies the last image that it finds here: with the descriptor of the lock it would
   * hold the lock as well, until it ends, and no later server would get it.
   */
  constructor(pool: string, image: Fd, place: Fd) {
    this.#pool = pool
    this.#image = image
    this.#place = place
  }

  /** False: another process holds it. Throws SystemCallError. */
  tryTake(): boolean {
    this.#own ??= this.#takeWithin(0)
    return this.#own !== undefined
  }

  /**
   * Blocks this thread until the former server has ended. `ended`: the process that the keeper has killed;
   * null: none; undefined: a keeper of a former version does not report it. A lock of any other process is
   * not waited for: that process has the pool. Errors: ImageInUseError.
   */
  take(ended: number | null | undefined): void {
    this.#own ??= this.#takeWithin(LIVING_MS)
    const owner = this.#own === undefined ? lockOwner(this.#image) : undefined
    if (owner === undefined || ended === undefined || owner === ended)
      this.#own ??= this.#takeWithin(WAIT_MS - LIVING_MS)
    if (this.#own === undefined) throw new ImageInUseError(this.#pool, lockOwner(this.#image))
  }

  #takeWithin(timeoutMs: number): Fd | undefined {
    const taken = takeOwnLock(this.#image, timeoutMs)
    if (taken === EAGAIN) return undefined
    if (taken instanceof Errno) throw new SystemCallError('locking the image', taken)
    const own = this.#place
    duplicateOver(taken, own)
    setCloseOnExec(own, true)
    close(taken)
    // A keeper that copies descriptors reads this, and must not copy the descriptor that holds the lock.
    if (!isLocked('self', own))
      throw new UsageError('/proc/self/fdinfo does not show locks: is /proc mounted?')
    return own
  }
}
