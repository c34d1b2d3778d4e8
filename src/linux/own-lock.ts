/**
 * A lock on the memory behind a descriptor, which one process holds by an open file description of its own.
 * Copies of a descriptor (SCM_RIGHTS, pidfd_getfd(2), fork) share one open file description and its lock, and
 * exclude nothing: so the file is opened anew.
 *
 * The kernel releases a flock(2) lock when the last descriptor of its open file description is closed, and a
 * process that ends closes its descriptors after its mappings are gone (do_exit, kernel/exit.c: exit_mm comes
 * before exit_files, and threads share both): when the lock is free, the former holder has made its last
 * store.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { EAGAIN, type Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { errnoOfNodeError } from './library.ts'
import { flockNow } from './lock-file.ts'
import { sleepBlocking } from './process.ts'

const LOOK_AGAIN_MS = 2

/**
 * An exclusive lock on the file of `fd`: a new close-on-exec descriptor, which must never be given to another
 * process. Blocks this thread for `timeoutMs` at most. Errors: EAGAIN (another process holds it), EACCES,
 * EMFILE.
 */
export function takeOwnLock(fd: Fd, timeoutMs: number): Fd | Errno {
  let own: number
  try {
    own = openSync(`/proc/self/fd/${fd}`, 'r+')
  } catch (error) {
    return errnoOfNodeError(error)
  }
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const errno = flockNow(own as Fd)
    if (errno === undefined) return own as Fd
    if (errno !== EAGAIN || performance.now() >= deadline) {
      closeSync(own)
      return errno
    }
    sleepBlocking(LOOK_AGAIN_MS)
  }
}

/** Whether descriptor `fd` of process `pid` is of an open file description that holds a lock (proc(5)). */
export function isLocked(pid: number | 'self', fd: Fd): boolean {
  try {
    return /^lock:/m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))
  } catch (error) {
    errnoOfNodeError(error)
    return false
  }
}

/**
 * The process that took the exclusive lock on the file of `fd`. undefined: none, or none in this pid
 * namespace.
 */
export function lockOwner(fd: Fd): number | undefined {
  const { dev, ino } = fstatSync(fd)
  // 1: FLOCK  ADVISORY  WRITE 4711 00:01:327182 0 EOF: the device in hexadecimal, as the kernel splits it.
  const device = `${hex((dev >> 8) & 0xfff)}:${hex((dev & 0xff) | ((dev >> 12) & 0xfff00))}`
  const line = new RegExp(`^\\d+: FLOCK +\\S+ +WRITE (\\d+) ${device}:${ino} `, 'm')
  const pid = Number(line.exec(readFileSync('/proc/locks', 'latin1'))?.[1] ?? 0)
  return pid > 0 ? pid : undefined
}

const hex = (part: number): string => part.toString(16).padStart(2, '0')
