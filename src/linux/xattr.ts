/**
 * Extended attributes of paths. The `l` calls do not follow a symlink at the end of the path. Source:
 * xattr(7); values and lists end at 64 KiB.
 */
import { ERANGE, Errno } from '../values/errno.ts'
import { errnoUnlessZero, libcCall, orErrno } from './library.ts'

const FIRST_TRY_BYTES = 1024

type Get = (path: string, name: string) => Uint8Array | Errno
type Set = (path: string, name: string, value: Uint8Array, flags?: number) => Errno | undefined
type Remove = (path: string, name: string) => Errno | undefined
type List = (path: string) => string[] | Errno

/** Errors: ENODATA (no such attribute), ENOENT, EPERM, EACCES, EOPNOTSUPP. */
export const getxattr: Get = getWith('getxattr')
export const lgetxattr: Get = getWith('lgetxattr')
/**
 * `flags`: XATTR_CREATE (EEXIST if there is one) or XATTR_REPLACE (ENODATA if there is none). Errors also:
 * ENOSPC, E2BIG, ERANGE.
 */
export const setxattr: Set = setWith('setxattr')
export const lsetxattr: Set = setWith('lsetxattr')
export const removexattr: Remove = removeWith('removexattr')
export const lremovexattr: Remove = removeWith('lremovexattr')
/** The names, each with its namespace. */
export const listxattr: List = listWith('listxattr')
export const llistxattr: List = listWith('llistxattr')

function getWith(call: string): Get {
  const get = libcCall(call, 'int64_t', ['str', 'str', 'void *', 'size_t'])
  return (path, name) => whole((into) => orErrno(get(path, name, into, into?.byteLength ?? 0)))
}

function setWith(call: string): Set {
  const set = libcCall(call, 'int', ['str', 'str', 'void *', 'size_t', 'int'])
  // SAFETY: the kernel reads value.byteLength bytes of `value`, reachable during the call.
  return (path, name, value, flags = 0) => errnoUnlessZero(set(path, name, value, value.byteLength, flags))
}

function removeWith(call: string): Remove {
  const remove = libcCall(call, 'int', ['str', 'str'])
  return (path, name) => errnoUnlessZero(remove(path, name))
}

function listWith(call: string): List {
  const list = libcCall(call, 'int64_t', ['str', 'void *', 'size_t'])
  return (path) => {
    const names = whole((into) => orErrno(list(path, into, into?.byteLength ?? 0)))
    if (names instanceof Errno) return names
    return Buffer.from(names).toString('utf8').split('\0').slice(0, -1)
  }
}

/**
 * Reads a value of unknown size: into a small buffer first, and when that is too small into one of the size
 * that the kernel returns; again as often as the value grows in between.
 */
function whole(read: (into: Uint8Array | null) => number | Errno): Uint8Array | Errno {
  let buffer = new Uint8Array(FIRST_TRY_BYTES)
  for (;;) {
    // SAFETY: the kernel writes at most buffer.byteLength bytes, reachable during the call.
    const length = read(buffer)
    if (typeof length === 'number') return buffer.slice(0, length)
    if (length !== ERANGE) return length
    const needed = read(null)
    if (needed instanceof Errno) return needed
    buffer = new Uint8Array(needed)
  }
}
