/**
 * An exclusive lock on a range of physical memory: a write lock of fcntl(2) on the bytes with the range's
 * addresses, of an open file description (F_OFD_SETLK), in a file of sysfs. No process can remove or replace
 * that file: sysfs refuses unlink, rename and link, to root as well, and each mount of sysfs in a network
 * namespace, in whatever mount namespace, shows the same inode. Only root may open it, so no other user can
 * lock it. It is there on every kernel (drivers/base/bus.c), and its bytes, which nothing here reads or
 * writes, mean nothing for the lock.
 */
import { closeSync, constants, openSync, statfsSync } from 'node:fs'
import { ENOENT, Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall } from './library.ts'
import type { PhysicalRange } from './memory-ranges.ts'

const fcntl = libcCall('fcntl', 'int', ['int', 'int', 'void *'])

/** include/uapi/asm-generic/fcntl.h, include/uapi/linux/magic.h. */
const F_OFD_SETLK = 37
const F_WRLCK = 1
const SYSFS_MAGIC = 0x62656572
/** struct flock of a 64-bit kernel: type, whence, start, length, pid. */
const FLOCK = { bytes: 32, startAt: 8, lengthAt: 16 } as const

const FILE = '/sys/bus/platform/drivers_probe'

/**
 * A network namespace has a sysfs of its own, so that of process 1 comes first: each process that may look at
 * process 1 finds the same one.
 */
const PATHS = [`/proc/1/root${FILE}`, FILE]

/** Whether a descriptor's link in /proc can be that of a lock. */
export const isRangeLockLink = (link: string): boolean => link.endsWith(FILE)

/**
 * A new close-on-exec descriptor that holds the range until its last copy is closed. Never waits. Errors:
 * EAGAIN (another open file description has a byte of it), EACCES, EPERM, ENOENT (no sysfs).
 */
export function lockRange(range: PhysicalRange): Fd | Errno {
  const fd = openLockFile()
  if (fd instanceof Errno) return fd
  const errno = holdRange(fd, range)
  if (errno === undefined) return fd
  closeSync(fd)
  return errno
}

/**
 * Has the open file description of `fd` hold the range, which it may do already. Never waits. Errors: EAGAIN;
 * EBADF (it is of no such file).
 */
export function holdRange(fd: Fd, { start, lengthBytes }: PhysicalRange): Errno | undefined {
  const lock = Buffer.alloc(FLOCK.bytes)
  lock.writeInt16LE(F_WRLCK)
  lock.writeBigInt64LE(BigInt(start), FLOCK.startAt)
  lock.writeBigInt64LE(BigInt(lengthBytes), FLOCK.lengthAt)
  return errnoUnlessZero(fcntl(fd, F_OFD_SETLK, lock))
}

function openLockFile(): Fd | Errno {
  let why: Errno = ENOENT
  for (const path of PATHS) {
    try {
      const fd = openSync(path, constants.O_WRONLY) as Fd
      if (statfsSync(`/proc/self/fd/${fd}`).type === SYSFS_MAGIC) return fd
      closeSync(fd)
      why = ENOENT
    } catch (error) {
      why = errnoOfNodeError(error)
    }
  }
  return why
}
