/** An inode: a plain value that is never changed in place; a changed one replaces it. */
import type { Extent } from '../../stores/store.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { ByteString, Ino, ObjectId } from '../../values/ids.ts'

export type FileKind = 'directory' | 'file' | 'symlink' | SpecialKind
/** What the kernel alone opens and serves: the file system keeps the name, the attributes and the number. */
export type SpecialKind = 'fifo' | 'socket' | 'character-device' | 'block-device'

/** Seconds and nanoseconds since the epoch, as `struct timespec64`; seconds may be negative. */
export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

export interface Inode {
  readonly ino: Ino
  /** Tells two files apart that used the same `ino` one after the other. */
  readonly generation: number
  readonly kind: FileKind
  /** Permission bits alone, 07777; the file type is `kind`. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /**
   * Directories: 2 + subdirectories. Files: names. 0: unlinked, kept while the kernel references it or it is
   * mapped (an orphan).
   */
  readonly links: number
  readonly sizeBytes: number
  readonly atime: Timestamp
  readonly mtime: Timestamp
  readonly ctime: Timestamp
  /** Files: the store's memory object, made with the file; undefined for every other kind. */
  readonly object: ObjectId | undefined
  /** Files: the blocks the file owns, in file order, ceil(sizeBytes / BLOCK_BYTES) of them. */
  readonly extents: readonly Extent[]
  /**
   * True from the first truncate or fallocate of an empty file to 2 MiB or more until it is truncated to 0.
   */
  readonly guestRam: boolean
  /** Guest RAM that consists of gigantic frames, and is mapped by gigantic pages alone. */
  readonly gigantic: boolean
  /** Devices: major and minor number as in `struct fuse_attr` (`new_encode_dev`). 0 for every other kind. */
  readonly rdev: number
  /** Symlinks: where it points. Empty for every other kind. */
  readonly target: ByteString
}

export const isSpecial = (kind: FileKind): kind is SpecialKind =>
  kind !== 'directory' && kind !== 'file' && kind !== 'symlink'

/** The memory object of a file: every file has one. */
export function objectOf(inode: Inode): ObjectId {
  if (inode.object === undefined) throw new BrokenInvariantError(`inode ${inode.ino} has no memory object`)
  return inode.object
}
