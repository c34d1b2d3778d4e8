/**
 * Numbers of system calls that more than one folder of src uses: they are in inodes and FUSE requests as
 * well. The same on all architectures here (include/uapi/linux/stat.h, fs.h, falloc.h).
 */

/** The file type in a mode, and what it is for a character device. */
export const S_IFMT = 0o170000
export const S_IFCHR = 0o020000
export const S_ISGID = 0o2000
/** All of a mode but the file type. */
export const PERMISSION_BITS = 0o7777

/** lseek(2). */
export const SEEK_DATA = 3
export const SEEK_HOLE = 4

/** fallocate(2). */
export const FALLOC_FL_KEEP_SIZE = 1
export const FALLOC_FL_PUNCH_HOLE = 2
