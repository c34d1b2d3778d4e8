/**
 * The list of requests that the server handles: one row per opcode, and the request type that follows from
 * it. Must not: decode (decode.ts), or handle a request. A request without a row is answered ENOSYS, and the
 * kernel does without it.
 *
 * STATX has none: it would bring birth times, which are not kept, and the kernel would send one for each
 * inode whose birth time is asked for, though it has all that there is in its cache (`fuse_update_get_attr`,
 * fs/fuse/dir.c).
 */
import type { ByteString, NodeId } from '../values/ids.ts'
import * as layouts from './kernel-structs.ts'
import type { Fields, Layout, ValuesOf } from './struct.ts'

/** What a NUL-terminated string may be: one path component, an xattr name, or a symlink's target. */
export type NameKind = 'component' | 'xattr' | 'target'

/** The parts of a request's body: the struct, then the names, then the data. */
export interface Row {
  readonly number: number
  readonly struct: Layout<Fields>
  /** The names that follow the struct, in wire order. */
  readonly names: { readonly [name: string]: NameKind }
  /** `bytes`: as many as the struct's `size` says. `forgets`: as many FORGET_ONE as its `count` says. */
  readonly tail: 'none' | 'bytes' | 'forgets'
  /** FORGET, BATCH_FORGET and INTERRUPT get no reply. */
  readonly answered: boolean
}

const row = <F extends Fields, N extends Row['names'] = Record<never, never>>(
  number: number,
  struct: Layout<F>,
  names: N = {} as N,
) => ({ number, struct, names, tail: 'none', answered: true }) as const

const NAME = { name: 'component' } as const
const XATTR_NAME = { name: 'xattr' } as const

/** Numbers: enum fuse_opcode. */
export const OPCODES = {
  LOOKUP: row(1, layouts.NOTHING, NAME),
  FORGET: { ...row(2, layouts.FORGET_IN), answered: false },
  GETATTR: row(3, layouts.GETATTR_IN),
  SETATTR: row(4, layouts.SETATTR_IN),
  READLINK: row(5, layouts.NOTHING),
  SYMLINK: row(6, layouts.NOTHING, { name: 'component', target: 'target' } as const),
  MKNOD: row(8, layouts.MKNOD_IN, NAME),
  MKDIR: row(9, layouts.MKDIR_IN, NAME),
  UNLINK: row(10, layouts.NOTHING, NAME),
  RMDIR: row(11, layouts.NOTHING, NAME),
  RENAME: row(12, layouts.RENAME_IN, { name: 'component', newName: 'component' } as const),
  LINK: row(13, layouts.LINK_IN, { newName: 'component' } as const),
  OPEN: row(14, layouts.OPEN_IN),
  READ: row(15, layouts.READ_IN),
  WRITE: { ...row(16, layouts.WRITE_IN), tail: 'bytes' },
  STATFS: row(17, layouts.NOTHING),
  RELEASE: row(18, layouts.RELEASE_IN),
  FSYNC: row(20, layouts.FSYNC_IN),
  SETXATTR: { ...row(21, layouts.SETXATTR_IN, XATTR_NAME), tail: 'bytes' },
  GETXATTR: row(22, layouts.GETXATTR_IN, XATTR_NAME),
  LISTXATTR: row(23, layouts.GETXATTR_IN),
  REMOVEXATTR: row(24, layouts.NOTHING, XATTR_NAME),
  FLUSH: row(25, layouts.FLUSH_IN),
  INIT: row(26, layouts.INIT_IN),
  OPENDIR: row(27, layouts.OPEN_IN),
  READDIR: row(28, layouts.READ_IN),
  RELEASEDIR: row(29, layouts.RELEASE_IN),
  FSYNCDIR: row(30, layouts.FSYNC_IN),
  ACCESS: row(34, layouts.ACCESS_IN),
  CREATE: row(35, layouts.CREATE_IN, NAME),
  INTERRUPT: { ...row(36, layouts.INTERRUPT_IN), answered: false },
  DESTROY: row(38, layouts.NOTHING),
  BATCH_FORGET: { ...row(42, layouts.BATCH_FORGET_IN), tail: 'forgets', answered: false },
  FALLOCATE: row(43, layouts.FALLOCATE_IN),
  READDIRPLUS: row(44, layouts.READ_IN),
  RENAME2: row(45, layouts.RENAME2_IN, { name: 'component', newName: 'component' } as const),
  LSEEK: row(46, layouts.LSEEK_IN),
} as const

export type Opcode = keyof typeof OPCODES

export interface RequestHeader {
  /** The request's id on its connection, the same when the kernel sends it again. 0 for FORGET. */
  readonly unique: bigint
  /** The kernel sent it before, to this server or a former one, and got no reply. */
  readonly resent: boolean
  readonly nodeid: NodeId
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

export interface Forget {
  readonly nodeid: NodeId
  readonly nlookup: number
}

type Tail = {
  none: unknown
  bytes: { readonly data: Uint8Array }
  forgets: { readonly forgets: readonly Forget[] }
}

/**
 * One request: its struct's fields, its names, and for WRITE and SETXATTR `data`, a view of the read buffer
 * valid until the next read.
 */
export type RequestOf<O extends Opcode> = { readonly opcode: O; readonly header: RequestHeader } & Readonly<
  ValuesOf<(typeof OPCODES)[O]['struct']>
> & { readonly [N in keyof (typeof OPCODES)[O]['names']]: ByteString } & Tail[(typeof OPCODES)[O]['tail']]

export type FuseRequest = { [O in Opcode]: RequestOf<O> }[Opcode]

const answered = new Set<string>(
  Object.entries(OPCODES).flatMap(([name, { answered }]) => (answered ? [name] : [])),
)

export const isAnswered = (opcode: Opcode): boolean => answered.has(opcode)
