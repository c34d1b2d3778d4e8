/**
 * The shapes of the FUSE protocol: one table per struct of include/uapi/linux/fuse.h (7.40), fields in wire
 * order under their kernel names in camel case. Must not: say what a field is used for; the code that fills
 * or reads it does. A field that the server never reads (lock owners: the kernel keeps the locks itself) is a
 * pad.
 */
import { Layout } from './struct.ts'

export const IN_HEADER = new Layout({
  len: 'u32',
  opcode: 'u32',
  unique: 'u64',
  nodeid: 'nodeid',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  totalExtlen: 'u16',
  padding: 'pad16',
})
export const OUT_HEADER = new Layout({ len: 'u32', error: 's32', unique: 'u64' })

export const INIT_IN = new Layout({
  major: 'u32',
  minor: 'u32',
  maxReadahead: 'u32',
  flags: 'u32',
  flags2: 'u32',
  unused1: 'pad32',
  unused2: 'pad64',
  unused3: 'pad64',
  unused4: 'pad64',
  unused5: 'pad64',
  unused6: 'pad64',
})
export const INIT_OUT = new Layout({
  major: 'u32',
  minor: 'u32',
  maxReadahead: 'u32',
  flags: 'u32',
  maxBackground: 'u16',
  congestionThreshold: 'u16',
  maxWrite: 'u32',
  timeGran: 'u32',
  maxPages: 'u16',
  mapAlignment: 'u16',
  flags2: 'u32',
  maxStackDepth: 'u32',
  requestTimeout: 'u16',
  unused1: 'pad16',
  unused2: 'pad32',
  unused3: 'pad64',
  unused4: 'pad64',
})

const ATTR_FIELDS = {
  ino: 'quantity',
  size: 'quantity',
  blocks: 'quantity',
  atime: 's64',
  mtime: 's64',
  ctime: 's64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  flags: 'u32',
} as const
export const ATTR = new Layout(ATTR_FIELDS)
export const ATTR_OUT = new Layout({
  attrValid: 'quantity',
  attrValidNsec: 'u32',
  dummy: 'pad32',
  ...ATTR_FIELDS,
})
export const ENTRY_OUT = new Layout({
  nodeid: 'nodeid',
  generation: 'quantity',
  entryValid: 'quantity',
  attrValid: 'quantity',
  entryValidNsec: 'u32',
  attrValidNsec: 'u32',
  ...ATTR_FIELDS,
})

export const FORGET_IN = new Layout({ nlookup: 'quantity' })
export const FORGET_ONE = new Layout({ nodeid: 'nodeid', nlookup: 'quantity' })
export const BATCH_FORGET_IN = new Layout({ count: 'u32', dummy: 'pad32' })

export const GETATTR_IN = new Layout({ getattrFlags: 'u32', dummy: 'pad32', fh: 'u64' })
export const SETATTR_IN = new Layout({
  valid: 'u32',
  padding: 'pad32',
  fh: 'u64',
  size: 'quantity',
  lockOwner: 'pad64',
  atime: 's64',
  mtime: 's64',
  ctime: 's64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  unused4: 'pad32',
  uid: 'u32',
  gid: 'u32',
  unused5: 'pad32',
})

export const ACCESS_IN = new Layout({ mask: 'u32', padding: 'pad32' })
export const MKNOD_IN = new Layout({ mode: 'u32', rdev: 'u32', umask: 'u32', padding: 'pad32' })
export const MKDIR_IN = new Layout({ mode: 'u32', umask: 'u32' })
export const RENAME_IN = new Layout({ newdir: 'nodeid' })
export const RENAME2_IN = new Layout({ newdir: 'nodeid', flags: 'u32', padding: 'pad32' })
export const LINK_IN = new Layout({ oldnodeid: 'nodeid' })

export const CREATE_IN = new Layout({ flags: 'u32', mode: 'u32', umask: 'u32', openFlags: 'u32' })
export const OPEN_IN = new Layout({ flags: 'u32', openFlags: 'u32' })
/** `backingId` was padding before 7.40. */
export const OPEN_OUT = new Layout({ fh: 'u64', openFlags: 'u32', backingId: 's32' })
export const RELEASE_IN = new Layout({ fh: 'u64', flags: 'u32', releaseFlags: 'u32', lockOwner: 'pad64' })
export const FLUSH_IN = new Layout({ fh: 'u64', unused: 'pad32', padding: 'pad32', lockOwner: 'pad64' })
export const FSYNC_IN = new Layout({ fh: 'u64', fsyncFlags: 'u32', padding: 'pad32' })

/**
 * READ, READDIR and READDIRPLUS. For a directory `offset` is the cookie of the last entry that was seen, 0 at
 * first.
 */
export const READ_IN = new Layout({
  fh: 'u64',
  offset: 'quantity',
  size: 'u32',
  readFlags: 'u32',
  lockOwner: 'pad64',
  flags: 'u32',
  padding: 'pad32',
})
export const WRITE_IN = new Layout({
  fh: 'u64',
  offset: 'quantity',
  size: 'u32',
  writeFlags: 'u32',
  lockOwner: 'pad64',
  flags: 'u32',
  padding: 'pad32',
})
export const WRITE_OUT = new Layout({ size: 'u32', padding: 'pad32' })
export const FALLOCATE_IN = new Layout({
  fh: 'u64',
  offset: 'quantity',
  length: 'quantity',
  mode: 'u32',
  padding: 'pad32',
})
export const LSEEK_IN = new Layout({ fh: 'u64', offset: 's64', whence: 'u32', padding: 'pad32' })
export const LSEEK_OUT = new Layout({ offset: 'quantity' })

/**
 * The name follows, then zeros up to a multiple of 8 (FUSE_DIRENT_ALIGN). READDIRPLUS puts an ENTRY_OUT in
 * front.
 */
export const DIRENT = new Layout({ ino: 'quantity', off: 'quantity', namelen: 'u32', type: 'u32' })

/** The short form: FUSE_SETXATTR_EXT is not negotiated. */
export const SETXATTR_IN = new Layout({ size: 'u32', flags: 'u32' })
/** GETXATTR and LISTXATTR. `size` 0 asks how large the answer would be. */
export const GETXATTR_IN = new Layout({ size: 'u32', padding: 'pad32' })
export const GETXATTR_OUT = new Layout({ size: 'u32', padding: 'pad32' })

export const STATFS_OUT = new Layout({
  blocks: 'quantity',
  bfree: 'quantity',
  bavail: 'quantity',
  files: 'quantity',
  ffree: 'quantity',
  bsize: 'u32',
  namelen: 'u32',
  frsize: 'u32',
  padding: 'pad32',
  spare1: 'pad64',
  spare2: 'pad64',
  spare3: 'pad64',
})

export const INTERRUPT_IN = new Layout({ unique: 'u64' })
export const NOTHING = new Layout({})
