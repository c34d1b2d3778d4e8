/** The limits of the file system: Linux's own where it has one (`include/uapi/linux/limits.h`, `xattr.h`). */

/** Bytes in one name, of a file or an xattr. */
export const NAME_MAX = 255
/** Bytes in a symlink's target: PATH_MAX without the NUL. */
export const TARGET_MAX = 4095
/** Bytes in one xattr's value. */
export const XATTR_SIZE_MAX = 65536
/** Bytes in the list of one inode's xattr names, each with its NUL. */
export const XATTR_LIST_MAX = 65536
/** Names of one file; 2 + subdirectories of one directory. As ext4's EXT4_LINK_MAX. */
export const LINK_MAX = 65000
/**
 * Bytes in one file: what one process can map by page tables of four levels, and more than any pool has. A
 * larger file can never exist (EFBIG), a smaller one only where there is room (ENOSPC).
 */
export const FILE_SIZE_MAX = 2 ** 47
/**
 * Numbers are used again, so this bounds how many inodes there are at once: the server keeps a row for each.
 */
export const INO_MAX = 4 * 1024 * 1024 - 1
/** Generations are the high 32 bits of a node id, taken from a counter that never goes back. */
export const GENERATIONS = 2 ** 32
