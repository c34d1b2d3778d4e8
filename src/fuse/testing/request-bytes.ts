/**
 * Sample requests for tests, written byte by byte from include/uapi/linux/fuse.h and not through the tables
 * of this folder: a mistake in a table must not be repeated here.
 */
import type { Opcode } from '../opcodes.ts'

/** A whole request: struct fuse_in_header, then the body. `body` is hex, or bytes. */
export function requestBytes(
  number: number,
  body: string | Uint8Array = '',
  header: { unique?: bigint; nodeid?: bigint; extensionBytes?: number } = {},
): Buffer {
  const tail = typeof body === 'string' ? hex(body) : Buffer.from(body)
  const head = Buffer.alloc(40)
  head.writeUInt32LE(head.length + tail.length, 0)
  head.writeUInt32LE(number, 4)
  head.writeBigUInt64LE(header.unique ?? 0x102n, 8)
  head.writeBigUInt64LE(header.nodeid ?? 0x5_0000_0007n, 16)
  head.writeUInt32LE(1000, 24)
  head.writeUInt32LE(1001, 28)
  head.writeUInt32LE(4242, 32)
  head.writeUInt16LE((header.extensionBytes ?? 0) / 8, 36)
  return Buffer.concat([head, tail])
}

export const hex = (text: string): Buffer => Buffer.from(text.replace(/[\s|]/g, ''), 'hex')

export interface Sample {
  readonly opcode: Opcode
  readonly number: number
  /** Fields in wire order, `|` between them. */
  readonly body: string
  readonly expected: Readonly<Record<string, unknown>>
}

const F = '66 00' // "f"
const XATTR = '757365722e78 00' // "user.x"
const FH = '0900000000000000'

export const SAMPLES: readonly Sample[] = [
  { opcode: 'LOOKUP', number: 1, body: F, expected: { name: 'f' } },
  { opcode: 'FORGET', number: 2, body: '0300000000000000', expected: { nlookup: 3 } },
  {
    opcode: 'GETATTR',
    number: 3,
    body: `01000000|00000000|${FH}`,
    expected: { getattrFlags: 1, fh: 9n },
  },
  {
    opcode: 'SETATTR',
    number: 4,
    // valid fh size lock_owner | atime mtime ctime | nsecs | mode unused uid gid unused
    body: `7f040000|00000000|${FH}|0000400001000000|0000000000000000|
      ffffffffffffffff|0200000000000000|0300000000000000|01000000|02000000|03000000|
      a4810000|00000000|e8030000|e9030000|00000000`,
    expected: {
      valid: 0x47f,
      fh: 9n,
      size: 2 ** 32 + 4 * 1024 * 1024,
      atime: -1,
      mtime: 2,
      ctime: 3,
      atimensec: 1,
      mtimensec: 2,
      ctimensec: 3,
      mode: 0o100644,
      uid: 1000,
      gid: 1001,
    },
  },
  { opcode: 'READLINK', number: 5, body: '', expected: {} },
  { opcode: 'SYMLINK', number: 6, body: `${F}|2f612f62 00`, expected: { name: 'f', target: '/a/b' } },
  {
    opcode: 'MKNOD',
    number: 8,
    body: `a4810000|00000000|12000000|00000000|${F}`,
    expected: { mode: 0o100644, rdev: 0, umask: 0o22, name: 'f' },
  },
  {
    opcode: 'MKDIR',
    number: 9,
    body: `ed010000|12000000|${F}`,
    expected: { mode: 0o755, umask: 0o22, name: 'f' },
  },
  { opcode: 'UNLINK', number: 10, body: F, expected: { name: 'f' } },
  { opcode: 'RMDIR', number: 11, body: F, expected: { name: 'f' } },
  {
    opcode: 'RENAME',
    number: 12,
    body: `0100000000000000|${F}|67 00`,
    expected: { newdir: 1n, name: 'f', newName: 'g' },
  },
  {
    opcode: 'LINK',
    number: 13,
    body: `0800000001000000|67 00`,
    expected: { oldnodeid: 0x1_0000_0008n, newName: 'g' },
  },
  { opcode: 'OPEN', number: 14, body: '02800000|01000000', expected: { flags: 0x8002, openFlags: 1 } },
  {
    opcode: 'READ',
    number: 15,
    body: `${FH}|0000000000020000|00001000|00000000|0000000000000000|00800000|00000000`,
    expected: { fh: 9n, offset: 2 ** 41, size: 1 << 20, readFlags: 0, flags: 0x8000 },
  },
  {
    opcode: 'WRITE',
    number: 16,
    body: `${FH}|0010000000000000|03000000|04000000|0000000000000000|01800000|00000000|616263`,
    expected: {
      fh: 9n,
      offset: 4096,
      size: 3,
      writeFlags: 4,
      flags: 0x8001,
      data: new Uint8Array([0x61, 0x62, 0x63]),
    },
  },
  { opcode: 'STATFS', number: 17, body: '', expected: {} },
  {
    opcode: 'RELEASE',
    number: 18,
    body: `${FH}|02800000|01000000|0000000000000000`,
    expected: { fh: 9n, flags: 0x8002, releaseFlags: 1 },
  },
  { opcode: 'FSYNC', number: 20, body: `${FH}|01000000|00000000`, expected: { fh: 9n, fsyncFlags: 1 } },
  {
    opcode: 'SETXATTR',
    number: 21,
    body: `02000000|01000000|${XATTR}|00ff`,
    expected: { size: 2, flags: 1, name: 'user.x', data: new Uint8Array([0, 255]) },
  },
  {
    opcode: 'GETXATTR',
    number: 22,
    body: `00010000|00000000|${XATTR}`,
    expected: { size: 256, name: 'user.x' },
  },
  { opcode: 'LISTXATTR', number: 23, body: '00010000|00000000', expected: { size: 256 } },
  { opcode: 'REMOVEXATTR', number: 24, body: XATTR, expected: { name: 'user.x' } },
  { opcode: 'FLUSH', number: 25, body: `${FH}|00000000|00000000|1100000000000000`, expected: { fh: 9n } },
  {
    opcode: 'INIT',
    number: 26,
    // 7.45, 128 KiB read-ahead, all flags; then eleven unused words
    body: `07000000|2d000000|00000200|fbffff73|ff070000|${'00000000'.repeat(11)}`,
    expected: { major: 7, minor: 45, maxReadahead: 131072, flags: 0x73fffffb, flags2: 0x7ff },
  },
  { opcode: 'OPENDIR', number: 27, body: '00880100|00000000', expected: { flags: 0x18800, openFlags: 0 } },
  {
    opcode: 'READDIR',
    number: 28,
    body: `${FH}|0300000000000000|00100000|00000000|0000000000000000|00880100|00000000`,
    expected: { fh: 9n, offset: 3, size: 4096, readFlags: 0, flags: 0x18800 },
  },
  {
    opcode: 'RELEASEDIR',
    number: 29,
    body: `${FH}|00880100|00000000|0000000000000000`,
    expected: { fh: 9n, flags: 0x18800, releaseFlags: 0 },
  },
  { opcode: 'FSYNCDIR', number: 30, body: `${FH}|00000000|00000000`, expected: { fh: 9n, fsyncFlags: 0 } },
  { opcode: 'ACCESS', number: 34, body: '04000000|00000000', expected: { mask: 4 } },
  {
    opcode: 'CREATE',
    number: 35,
    body: `c2800000|a4810000|12000000|00000000|${F}`,
    expected: { flags: 0x80c2, mode: 0o100644, umask: 0o22, openFlags: 0, name: 'f' },
  },
  { opcode: 'INTERRUPT', number: 36, body: '0401000000000080', expected: { unique: 0x104n } },
  { opcode: 'DESTROY', number: 38, body: '', expected: {} },
  {
    opcode: 'BATCH_FORGET',
    number: 42,
    body: '02000000|00000000|0700000005000000|0100000000000000|0800000000000000|0200000000000000',
    expected: {
      count: 2,
      forgets: [
        { nodeid: 0x5_0000_0007n, nlookup: 1 },
        { nodeid: 8n, nlookup: 2 },
      ],
    },
  },
  {
    opcode: 'FALLOCATE',
    number: 43,
    body: `${FH}|0000200000000000|0000400000000000|03000000|00000000`,
    expected: { fh: 9n, offset: 2 * 1024 * 1024, length: 4 * 1024 * 1024, mode: 3 },
  },
  {
    opcode: 'READDIRPLUS',
    number: 44,
    body: `${FH}|0000000000000000|00100000|00000000|0000000000000000|00880100|00000000`,
    expected: { fh: 9n, offset: 0, size: 4096, readFlags: 0, flags: 0x18800 },
  },
  {
    opcode: 'RENAME2',
    number: 45,
    body: `0100000000000000|02000000|00000000|${F}|67 00`,
    expected: { newdir: 1n, flags: 2, name: 'f', newName: 'g' },
  },
  {
    opcode: 'LSEEK',
    number: 46,
    body: `${FH}|0010000000000000|04000000|00000000`,
    expected: { fh: 9n, offset: 4096, whence: 4 },
  },
]
