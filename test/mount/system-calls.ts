/** System calls that only tests make, each with the kernel's answer. */
import { errnoUnlessZero, libcCall } from '../../src/linux/library.ts'
import type { Errno } from '../../src/values/errno.ts'

const AT_FDCWD = -100
const renameat2 = libcCall('renameat2', 'int', ['int', 'str', 'int', 'str', 'uint'])
const fallocate = libcCall('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t'])
const mknod = libcCall('mknod', 'int', ['str', 'uint', 'ulong'])

/** `include/uapi/linux/fs.h`. */
export const RENAME = { noreplace: 1, exchange: 2, whiteout: 4 } as const
/** `include/uapi/linux/falloc.h`. */
export const FALLOC_FL = { keepSize: 1, punchHole: 2, collapseRange: 8, zeroRange: 16 } as const
/** Types of mknod(2), `include/uapi/linux/stat.h`. */
export const S_IF = {
  fifo: 0o010000,
  character: 0o020000,
  block: 0o060000,
  file: 0o100000,
  socket: 0o140000,
} as const

export const renameFlags = (from: string, to: string, flags: number): Errno | undefined =>
  errnoUnlessZero(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags))

export const allocate = (fd: number, mode: number, offset: number, length: number): Errno | undefined =>
  errnoUnlessZero(fallocate(fd, mode, offset, length))

/** `type` of `S_IF`; a device is 1:3, which is /dev/null. */
export const makeNode = (path: string, type: number): Errno | undefined =>
  errnoUnlessZero(mknod(path, type | 0o644, (1 << 8) | 3))
