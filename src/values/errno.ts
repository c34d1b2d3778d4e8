/**
 * The errno values an operation may answer. An expected failure is a returned `Errno`, never a thrown error:
 * `const inode = fs.lookup(…); if (inode instanceof Errno) …`. Numbers are Linux's
 * (`include/uapi/asm-generic/errno-base.h`, `errno.h`), the same on x86-64 and arm64.
 */
const byCode = new Map<number, Errno>()

/** The base class of an `Errno` and of a `Wait` (refusal.ts), for one test of both. */
export abstract class Refused {}

export class Errno extends Refused {
  readonly name: string
  readonly code: number

  constructor(name: string, code: number) {
    super()
    this.name = name
    this.code = code
    byCode.set(code, this)
  }

  override toString(): string {
    return this.name
  }
}

export const EPERM = new Errno('EPERM', 1)
export const ENOENT = new Errno('ENOENT', 2)
export const ESRCH = new Errno('ESRCH', 3)
export const EINTR = new Errno('EINTR', 4)
export const EIO = new Errno('EIO', 5)
export const ENXIO = new Errno('ENXIO', 6)
export const E2BIG = new Errno('E2BIG', 7)
export const ENOEXEC = new Errno('ENOEXEC', 8)
export const EBADF = new Errno('EBADF', 9)
export const ECHILD = new Errno('ECHILD', 10)
export const EAGAIN = new Errno('EAGAIN', 11)
export const ENOMEM = new Errno('ENOMEM', 12)
export const EACCES = new Errno('EACCES', 13)
export const EFAULT = new Errno('EFAULT', 14)
export const EBUSY = new Errno('EBUSY', 16)
export const EEXIST = new Errno('EEXIST', 17)
export const EXDEV = new Errno('EXDEV', 18)
export const ENODEV = new Errno('ENODEV', 19)
export const ENOTDIR = new Errno('ENOTDIR', 20)
export const EISDIR = new Errno('EISDIR', 21)
export const EINVAL = new Errno('EINVAL', 22)
export const ENFILE = new Errno('ENFILE', 23)
export const EMFILE = new Errno('EMFILE', 24)
export const ENOTTY = new Errno('ENOTTY', 25)
export const ETXTBSY = new Errno('ETXTBSY', 26)
export const EFBIG = new Errno('EFBIG', 27)
export const ENOSPC = new Errno('ENOSPC', 28)
export const ESPIPE = new Errno('ESPIPE', 29)
export const EROFS = new Errno('EROFS', 30)
export const EMLINK = new Errno('EMLINK', 31)
export const EPIPE = new Errno('EPIPE', 32)
export const ERANGE = new Errno('ERANGE', 34)
export const ENAMETOOLONG = new Errno('ENAMETOOLONG', 36)
export const ENOSYS = new Errno('ENOSYS', 38)
export const ENOTEMPTY = new Errno('ENOTEMPTY', 39)
export const ELOOP = new Errno('ELOOP', 40)
export const ENODATA = new Errno('ENODATA', 61)
export const EPROTO = new Errno('EPROTO', 71)
export const EBADMSG = new Errno('EBADMSG', 74)
export const EOVERFLOW = new Errno('EOVERFLOW', 75)
export const EMSGSIZE = new Errno('EMSGSIZE', 90)
export const EOPNOTSUPP = new Errno('EOPNOTSUPP', 95)
export const EADDRNOTAVAIL = new Errno('EADDRNOTAVAIL', 99)
export const ECONNABORTED = new Errno('ECONNABORTED', 103)
export const ECONNRESET = new Errno('ECONNRESET', 104)
export const ENOTCONN = new Errno('ENOTCONN', 107)
export const ETIMEDOUT = new Errno('ETIMEDOUT', 110)
export const ECONNREFUSED = new Errno('ECONNREFUSED', 111)
export const ESTALE = new Errno('ESTALE', 116)
export const EDQUOT = new Errno('EDQUOT', 122)
export const EKEYREJECTED = new Errno('EKEYREJECTED', 129)
export const EHWPOISON = new Errno('EHWPOISON', 133)

/** The one `Errno` of a number the kernel gave; a number not listed above is kept, named after itself. */
export function errnoFromCode(code: number): Errno {
  return byCode.get(code) ?? new Errno(`errno ${code}`, code)
}
