/**
 * The interface of the state that an image keeps. An image uses nothing else of files: it moves entries, and
 * interprets of them only which key each one states.
 */
import type { Entry } from '../state/entry.ts'

export interface ImageState {
  /** Applies one entry. The image changes the state in no other way. */
  apply(entry: Entry): void
  /**
   * The whole state as entries, lazily: `apply` may run between two `next()` calls. A key that exists from
   * the first call to the last is met at least once; a key that is added, removed or changed meanwhile may be
   * met in any of its values, or not at all. Recovery needs no more than that
   * (docs/internals/image-format.md).
   */
  entries(): IterableIterator<Entry>
}

/**
 * A state that can also check itself, as `fsck` needs it. One sentence for each fault. `chunkBlocks`: as
 * `Store` has it.
 */
export interface VerifiableState extends ImageState {
  verify(totalBlocks: number, chunkBlocks: number | undefined): string[]
}
