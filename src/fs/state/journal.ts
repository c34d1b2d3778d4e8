/**
 * The interface by which the file system makes its changes permanent. `image/` implements it; a test may use
 * a smaller one. The file system never changes its state itself: it calls `commit` with entries, and the
 * journal makes them permanent and only then applies them to `state`.
 */
import type { FormatVersion } from '../image/image-format.ts'
import type { Entry, Origin } from './entry.ts'
import type { State } from './state.ts'

/** Fixed when the pool was made. `uuid` is 16 bytes. */
export interface PoolIdentity {
  readonly poolName: string
  readonly storeKind: string
  readonly totalBlocks: number
  readonly uuid: Uint8Array
}

export interface Journal {
  readonly state: State
  readonly identity: PoolIdentity
  /**
   * Of the format: version 1 has not all kinds of entries. `upgrade` makes it the newest; it cannot be
   * undone.
   */
  readonly version: FormatVersion
  upgrade(): void
  /** Counts the checkpoints since the pool was made. */
  readonly generation: number
  /** The last request that changed anything. The server's own work (unique 0) after it does not count. */
  readonly lastOrigin: Origin | undefined
  /** What the last record changed, also where no request caused it. */
  readonly lastEntries: readonly Entry[]
  /** True when a record of these entries has room now: `commit` of the same entries then cannot fail. */
  fits(entries: readonly Entry[]): boolean
  /** One record: after this returns all of `entries` survive a crash; before, none of them does. */
  commit(origin: Origin, entries: readonly Entry[]): void
}
