/** The lock file that keeps a second process out, and flock(2). */
import { accessSync, closeSync, constants, existsSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { EINTR, ENOENT, Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall } from './library.ts'

const flock = libcCall('flock', 'int', ['int', 'int'])

const LOCK_EX = 2
const LOCK_NB = 4

/**
 * Takes the lock on `path`, made if it is missing, mode 0600; by a descriptor that cannot write, as programs
 * of other users may inherit it. It is held until every duplicate of the returned descriptor is closed, at
 * the latest when this process ends. Never waits. Errors: EAGAIN (another holds it), ENOENT, EACCES; EROFS,
 * because the holder of a lock writes files beside it.
 */
export function lockFile(path: string): Fd | Errno {
  const fd = openLock(path)
  if (fd instanceof Errno) return fd
  const errno = flockNow(fd)
  if (errno === undefined) return fd
  closeSync(fd)
  return errno
}

/**
 * Where several processes made the file at once, open(2) with O_CREAT was seen to answer ENOENT to one of
 * them, though its directory was there (Linux 7.3, tmpfs, two emulated processors).
 */
const OPEN_TRIES = 10

function openLock(path: string): Fd | Errno {
  for (let tries = 1; ; tries++) {
    let fd: Fd | undefined
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_CREAT, 0o600) as Fd
      // The kernel opens a file that is there for reading on a read-only file system as well.
      accessSync(path, constants.W_OK)
      return fd
    } catch (error) {
      if (fd !== undefined) closeSync(fd)
      const errno = errnoOfNodeError(error)
      if (errno !== ENOENT || tries === OPEN_TRIES || !existsSync(dirname(path))) return errno
    }
  }
}

/** The exclusive lock of flock(2) for the open file description of `fd`. Never waits. Errors: EAGAIN. */
export function flockNow(fd: Fd): Errno | undefined {
  for (;;) {
    const errno = errnoUnlessZero(flock(fd, LOCK_EX | LOCK_NB))
    if (errno !== EINTR) return errno
  }
}
