/**
 * The flag values of the FUSE protocol that the server sends or reads (include/uapi/linux/fuse.h). Must hold
 * no logic.
 */

/** `SETATTR.valid`: which fields are to be set. */
export const FATTR = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const

/** `open_flags` of an OPEN, OPENDIR or CREATE reply. */
export const FOPEN = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  CACHE_DIR: 1 << 3,
  NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6,
  PASSTHROUGH: 1 << 7,
} as const

/** `getattr_flags` of GETATTR: `fh` is valid. */
export const GETATTR_FH = 1 << 0

/** `write_flags` of WRITE: the caller has no CAP_FSETID, so set-id bits must not outlive the new contents. */
export const FUSE_WRITE_KILL_SUIDGID = 1 << 2

/** INIT flags as one 64-bit set; bits 32 and up are in `flags2` of the struct (FUSE_INIT_EXT). */
export const INIT_FLAGS = {
  BIG_WRITES: 1n << 5n,
  DO_READDIRPLUS: 1n << 13n,
  READDIRPLUS_AUTO: 1n << 14n,
  PARALLEL_DIROPS: 1n << 18n,
  MAX_PAGES: 1n << 22n,
  INIT_EXT: 1n << 30n,
  PASSTHROUGH: 1n << 37n,
  HAS_RESEND: 1n << 39n,
} as const

/** Notifications are replies with `unique` 0 and the code where the error would be. */
export const FUSE_NOTIFY_RESEND = 7

/** Set in the id of a request that the kernel sent before (7.40); the reply must have it, too. */
export const FUSE_UNIQUE_RESEND = 1n << 63n

/**
 * Names and targets: one byte less than PATH_MAX; names of xattrs: XATTR_NAME_MAX,
 * include/uapi/linux/limits.h.
 */
export const TEXT_MAX = 4095
export const XATTR_NAME_MAX = 255
