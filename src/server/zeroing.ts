/**
 * The feed of the store's zeroing: it gets blocks that a former owner left dirty, one extent after the other,
 * and what it has zeroed is logged as clean. Only logged blocks are ever given to a file: a crash in between
 * zeroes them once more.
 */
import type { FileSystem, OwnRequest } from '../fs/file-system.ts'
import { BLOCK_BYTES, type Extent, type Store } from '../stores/store.ts'
import { MIB } from '../values/units.ts'

/**
 * Long enough that making a mapping costs little, short enough that an allocation does not wait for all of
 * it.
 */
const PIECE_BLOCKS = (512 * MIB) / BLOCK_BYTES

export class Zeroing {
  readonly #fs: FileSystem
  readonly #store: Store
  readonly #internal: () => OwnRequest
  /** Zeroed, but not yet logged: the pool was frozen, or the image had no room. */
  #unlogged: Extent[] = []

  constructor(fs: FileSystem, store: Store, internal: () => OwnRequest) {
    this.#fs = fs
    this.#store = store
    this.#internal = internal
  }

  /**
   * Called after each request and each event of the store; costs next to nothing when there is nothing to do.
   */
  advance(): void {
    const { zeroer } = this.#store
    if (zeroer === undefined || this.#fs.frozen) return
    this.#unlogged = [...this.#unlogged, ...zeroer.finished()].filter(
      (extent) => this.#fs.markClean(this.#internal(), extent) !== undefined,
    )
    if (this.#unlogged.length > 0) return
    const dirty = this.#fs.dirtyExtent(PIECE_BLOCKS)
    if (dirty !== undefined) zeroer.start(dirty)
  }
}
