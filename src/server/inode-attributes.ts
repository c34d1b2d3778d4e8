/** An inode as stat(2) shows it. */
import type { FileKind, Inode } from '../fs/state/inode.ts'
import { MAX_WRITE_BYTES } from '../fuse/init.ts'
import type { Attributes } from '../fuse/replies.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { S_IFCHR, S_IFMT } from '../values/uapi.ts'

/** S_IFDIR, S_IFREG, … (include/uapi/linux/stat.h). */
const TYPE_BITS: { readonly [Kind in FileKind]: number } = {
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  'character-device': S_IFCHR,
  'block-device': 0o060000,
}
const SECTOR_BYTES = 512

export const modeOf = (inode: Inode): number => TYPE_BITS[inode.kind] | inode.mode
export const modeOfKind = (kind: FileKind): number => TYPE_BITS[kind]

/** What mknod(2) asks for by its mode; without a type, a file. undefined: it is no type of an inode. */
export function kindOfMode(mode: number): FileKind | undefined {
  const type = mode & S_IFMT
  if (type === 0) return 'file'
  return (Object.keys(TYPE_BITS) as FileKind[]).find((kind) => TYPE_BITS[kind] === type)
}

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
  rdev: inode.rdev,
  // The best size for read and write: that of the largest request.
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
