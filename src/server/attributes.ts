/** An inode as stat(2) shows it. */
import type { FileKind, Inode } from '../fs/state/inode.ts'
import { MAX_WRITE_BYTES } from '../fuse/init.ts'
import type { Attributes } from '../fuse/replies.ts'
import { BLOCK_BYTES } from '../stores/store.ts'

/** S_IFDIR, S_IFREG, S_IFLNK (include/uapi/linux/stat.h). */
const TYPE_BITS: { readonly [Kind in FileKind]: number } = {
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
}
const SECTOR_BYTES = 512

export const modeOf = (inode: Inode): number => TYPE_BITS[inode.kind] | inode.mode
export const modeOfKind = (kind: FileKind): number => TYPE_BITS[kind]

export const attributesOf = (inode: Inode): Attributes => ({
  ino: inode.ino,
  sizeBytes: inode.sizeBytes,
  blocks: inode.extents.reduce((blocks, extent) => blocks + extent.count, 0) * (BLOCK_BYTES / SECTOR_BYTES),
  atime: inode.atime,
  mtime: inode.mtime,
  ctime: inode.ctime,
  mode: modeOf(inode),
  links: inode.links,
  uid: inode.uid,
  gid: inode.gid,
  rdev: 0,
  // What read and write move best: the largest request there is.
  blksize: MAX_WRITE_BYTES,
})

/**
 * Guest RAM shown as a symlink. Its mode is the file's own: a user who may write to the RAM may write its
 * xattrs, and 0777, as other symlinks have it, would let every user. Its size is the target's, as readlink(2)
 * callers expect.
 */
export const linkAttributesOf = (inode: Inode, targetLength: number): Attributes => ({
  ...attributesOf(inode),
  mode: TYPE_BITS.symlink | inode.mode,
  sizeBytes: targetLength,
})
