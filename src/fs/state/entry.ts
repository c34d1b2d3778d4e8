/**
 * The kinds of change. Every change of the file system is a list of entries; an operation decides which, the
 * image logs them as one record, and `State.apply` applies them, at run time and at recovery alike. An entry
 * states the whole new value of one key, so replaying it over a newer state converges: that is what lets a
 * checkpoint be written piecemeal while operations go on.
 */
import type { Extent } from '../../stores/store.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { Inode } from './inode.ts'

/** A name in a directory, whether it exists or not. */
export interface NameAt {
  readonly parent: Ino
  readonly name: ByteString
}

/**
 * Unowned blocks are clean (a file may get them), dirty (hold a former owner's bytes) or bad (no file gets
 * them again).
 */
export type BlockState = 'clean' | 'dirty' | 'bad'

export type Entry =
  | { readonly kind: 'inode'; readonly inode: Inode }
  | { readonly kind: 'inode-gone'; readonly ino: Ino }
  /**
   * `cookie` is the readdir offset of the name: unique in its directory, ascending in order of creation,
   * never 0..2.
   */
  | {
      readonly kind: 'name'
      readonly parent: Ino
      readonly name: ByteString
      readonly ino: Ino
      readonly cookie: number
    }
  | { readonly kind: 'name-gone'; readonly parent: Ino; readonly name: ByteString }
  | { readonly kind: 'xattr'; readonly ino: Ino; readonly name: ByteString; readonly value: Uint8Array }
  | { readonly kind: 'xattr-gone'; readonly ino: Ino; readonly name: ByteString }
  /**
   * A property of an inode, by number: `image/property.ts`. One that this version does not implement is kept
   * as it is.
   */
  | { readonly kind: 'property'; readonly ino: Ino; readonly number: number; readonly value: Uint8Array }
  | { readonly kind: 'property-gone'; readonly ino: Ino; readonly number: number }
  /**
   * Only stores that clear blocks themselves have dirty ones. Owned blocks follow from inodes and are never
   * stated.
   */
  | { readonly kind: 'blocks'; readonly extent: Extent; readonly state: BlockState }
  /**
   * `frozen`: every modification answers EBUSY. `nextGeneration` and `nextCookie`: counters that never go
   * back.
   */
  | {
      readonly kind: 'pool'
      readonly frozen: boolean
      readonly nextGeneration: number
      readonly nextCookie: number
    }

/**
 * The kernel request that caused a record, so that the next server can tell a re-sent request from a new one.
 * The server's own work: unique 0n.
 */
export interface Origin {
  readonly unique: bigint
  /** Which FUSE connection the request came by; a new connection has a new epoch. */
  readonly epoch: number
}
