/**
 * Gives the store's zeroer blocks that a former owner left dirty, one extent after the other, and logs as
 * clean what it has zeroed. Only blocks that are logged as clean are given to a file: after a crash in
 * between the next server zeroes them once more.
 *
 * The kernel may log a failure of memory that is being zeroed, and let the zeroes be written: it does not
 * keep a page of device-dax that has failed from being mapped again (`dev_dax_huge_fault`,
 * drivers/dax/device.c). So the log is read before blocks are logged as clean.
 */
import type { FileSystem, OwnRequest } from '../fs/file-system.ts'
import { BLOCK_BYTES, type Extent, type RefusedExtent, type Store } from '../stores/store.ts'
import { EBUSY, EHWPOISON, EIO, type Errno } from '../values/errno.ts'
import { MIB } from '../values/units.ts'
import type { BadMemory } from './bad-memory.ts'

/**
 * Long enough that the cost of making a mapping is small, short enough that an allocation does not wait long
 * for it.
 */
const PIECE_BLOCKS = (512 * MIB) / BLOCK_BYTES

/**
 * Why a piece may fail although most of its blocks can be zeroed; EIO: no device could be made of all of it.
 */
const IN_ONE_BLOCK: ReadonlySet<Errno> = new Set([EBUSY, EHWPOISON, EIO])

/** What could not be zeroed is tried again after so long. */
const RETRY_MS = 2000

export class Zeroing {
  readonly #fs: FileSystem
  readonly #store: Store
  readonly #internal: () => OwnRequest
  readonly #bad: Pick<BadMemory, 'lookAtAll' | 'suspect'>
  /** At most so many blocks at a time: fewer while a block that a process maps is being searched for. */
  #pieceBlocks = PIECE_BLOCKS
  /** What could not be zeroed, and is not tried for a while. */
  #deferred: (RefusedExtent & { readonly untilMs: number })[] = []
  /** Zeroed, but not yet logged: the pool was frozen, or the image had no room. */
  #unlogged: Extent[] = []

  constructor(
    fs: FileSystem,
    store: Store,
    internal: () => OwnRequest,
    bad: Pick<BadMemory, 'lookAtAll' | 'suspect'>,
  ) {
    this.#fs = fs
    this.#bad = bad
    this.#store = store
    this.#internal = internal
  }

  /**
   * When `advance` is to be called at the latest: a block that cannot be written is tried again until it
   * counts as bad. undefined: there is no need.
   */
  get timerMs(): number | undefined {
    return this.#deferred.some(({ errno }) => errno === EHWPOISON) ? RETRY_MS : undefined
  }

  /**
   * Called after each request and each event of the store; costs next to nothing when there is nothing to do.
   */
  advance(): void {
    const { zeroer } = this.#store
    if (zeroer === undefined || this.#fs.frozen) return
    const finished = zeroer.finished()
    if (finished.length > 0) {
      this.#pieceBlocks = Math.min(2 * this.#pieceBlocks, PIECE_BLOCKS)
      this.#bad.lookAtAll()
    }
    this.#unlogged = [...this.#unlogged, ...finished].filter(
      (extent) => this.#fs.markClean(this.#internal(), extent) !== undefined,
    )
    for (const refused of zeroer.refused()) this.#defer(refused)
    if (this.#unlogged.length > 0) return
    const nowMs = performance.now()
    if (this.#deferred.length > 0) this.#deferred = this.#deferred.filter(({ untilMs }) => untilMs > nowMs)
    const dirty = this.#fs.dirtyExtent(
      this.#pieceBlocks,
      this.#deferred.map(({ extent }) => extent),
    )
    if (dirty !== undefined) zeroer.start(dirty)
  }

  /**
   * Where a process maps a block of the piece, or a page of it cannot be written, the piece is halved until
   * that block is found, so that only this one stays dirty, and files get all others. A block that fails time
   * after time is recorded as bad, and not tried any more. A piece that fails for another reason is deferred
   * as a whole.
   */
  #defer({ extent, errno }: RefusedExtent): void {
    if (IN_ONE_BLOCK.has(errno) && extent.count > 1) {
      this.#pieceBlocks = Math.ceil(extent.count / 2)
      return
    }
    this.#deferred.push({ extent, errno, untilMs: performance.now() + RETRY_MS })
    if (errno === EHWPOISON) this.#bad.suspect(extent.start)
  }
}
