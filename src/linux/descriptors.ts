/**
 * Calls that work on any file descriptor: close, duplicate, close-on-exec, readable, how many. Numbers:
 * include/uapi/linux/fcntl.h, resource.h, poll.h.
 */
import { readFileSync } from 'node:fs'
import { EINTR } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { lastErrno, libcCall, must } from './library.ts'

const libcClose = libcCall('close', 'int', ['int'])
const fcntl = libcCall('fcntl', 'int', ['int', 'int', 'long'])
const dup2 = libcCall('dup2', 'int', ['int', 'int'])
const prlimit = libcCall('prlimit64', 'int', ['int', 'int', 'void *', 'void *'])
const poll = libcCall('poll', 'int', ['void *', 'ulong', 'int'])

const F_GETFD = 1
const F_SETFD = 2
const FD_CLOEXEC = 1
const F_DUPFD_CLOEXEC = 1030
const RLIMIT_NOFILE = 7
const POLLIN = 1
const POLLOUT = 4

/** Whether an exec'd program loses the descriptor. */
export function setCloseOnExec(fd: Fd, closeOnExec: boolean): void {
  const flags = must(fcntl(fd, F_GETFD, 0), `F_GETFD fd ${fd}`)
  must(fcntl(fd, F_SETFD, closeOnExec ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC), `F_SETFD fd ${fd}`)
}

/**
 * Throws SystemCallError EBADF: closing what is not open is a bug that may hit another owner's descriptor
 * next time.
 */
export function close(fd: Fd): void {
  // EINTR after close(2) on Linux means closed: retrying could close another's descriptor.
  if (libcClose(fd) < 0 && lastErrno() !== EINTR) throw new SystemCallError(`close fd ${fd}`, lastErrno())
}

/**
 * `target` becomes another name of what `fd` is; what it was before is closed. Programs that this process
 * starts inherit it.
 */
export function duplicateOver(fd: Fd, target: Fd): void {
  must(dup2(fd, target), `dup2 fd ${fd} to ${target}`)
}

/** A close-on-exec duplicate with the lowest free number >= `min`. Throws SystemCallError: EMFILE, EBADF. */
export function duplicateAbove(fd: Fd, min: number): Fd {
  return must(fcntl(fd, F_DUPFD_CLOEXEC, min), `F_DUPFD_CLOEXEC fd ${fd}`) as Fd
}

/**
 * Raises this process's limit on open descriptors as far as it may: to the hard limit, which root
 * (CAP_SYS_RESOURCE) first raises to fs.nr_open. Children inherit it. Returns the limit in force.
 */
export function raiseDescriptorLimit(): number {
  const limits = new BigUint64Array(2)
  // SAFETY: prlimit writes (then reads) one struct rlimit64 of 16 bytes, which is what `limits` is.
  must(prlimit(0, RLIMIT_NOFILE, null, limits), 'prlimit RLIMIT_NOFILE')
  const most = BigInt(readFileSync('/proc/sys/fs/nr_open', 'latin1').trim())
  if (prlimit(0, RLIMIT_NOFILE, BigUint64Array.of(most, most), null) === 0) return Number(most)
  const hard = limits[1] ?? 0n
  must(prlimit(0, RLIMIT_NOFILE, BigUint64Array.of(hard, hard), null), 'prlimit RLIMIT_NOFILE')
  return Number(hard)
}

/**
 * Blocks this thread until `fd` can be read, has ended or has failed: the next read will not block. False
 * after `timeoutMs`; a negative timeout means no limit. Pidfds become readable at exit.
 */
export function waitReadable(fd: Fd, timeoutMs: number): boolean {
  return waitAny([fd], timeoutMs).length > 0
}

/**
 * Whether `fd` has failed or is gone at its other end, whatever there is to read (POLLERR, POLLHUP). Throws
 * SystemCallError.
 */
export function hasHungUp(fd: Fd): boolean {
  const pollfd = new Int32Array([fd, 0])
  // SAFETY: poll reads and writes one struct pollfd of 8 bytes {int fd; short events, revents}.
  while (poll(pollfd, 1, 0) < 0) {
    const errno = lastErrno()
    if (errno !== EINTR) throw new SystemCallError(`poll fd ${fd}`, errno)
  }
  return (pollfd[1] ?? 0) !== 0
}

/**
 * Those of `fds` that are readable, or gone at their other end; none after `timeoutMs` (-1: no limit). Throws
 * SystemCallError.
 */
export function waitAny(fds: readonly Fd[], timeoutMs: number): readonly Fd[] {
  const poller = new Poller(fds)
  poller.wait(timeoutMs)
  return fds.filter((fd) => poller.isReady(fd))
}

/** The same for loops over the same descriptors: reuses its buffer at each call. */
export class Poller {
  /** One struct pollfd of 8 bytes {int fd; short events, revents} per descriptor. */
  readonly #pollfds: Int32Array

  constructor(fds: readonly Fd[]) {
    this.#pollfds = Int32Array.from(fds.flatMap((fd) => [fd, POLLIN]))
  }

  /** False after `timeoutMs` (-1: no limit) in which no descriptor was ready. Throws SystemCallError. */
  wait(timeoutMs: number): boolean {
    const deadline = timeoutMs <= 0 ? undefined : performance.now() + timeoutMs
    for (let left = timeoutMs; ; left = deadline === undefined ? left : deadline - performance.now()) {
      const waitMs = timeoutMs < 0 ? -1 : Math.max(0, Math.ceil(left))
      // SAFETY: poll reads and writes the pollfds there are, which are reachable during the call.
      const ready = poll(this.#pollfds, this.#pollfds.length / 2, waitMs)
      if (ready >= 0) return ready > 0
      const errno = lastErrno()
      if (errno !== EINTR) throw new SystemCallError(`poll fd ${this.#pollfds[0]}`, errno)
    }
  }

  /** Whether the last `wait` found `fd` readable, or gone at its other end. */
  isReady(fd: Fd): boolean {
    for (let at = 0; at < this.#pollfds.length; at += 2)
      // `revents` is the upper half of a pollfd's second word.
      if (this.#pollfds[at] === fd) return (this.#pollfds[at + 1] ?? 0) >>> 16 !== 0
    return false
  }
}

/**
 * Blocks this thread until `fd` takes a write, or its other end is gone, which the write will report. Throws
 * SystemCallError.
 */
export function waitWritable(fd: Fd): void {
  const pollfd = new Int32Array([fd, POLLOUT])
  // SAFETY: poll reads and writes one struct pollfd of 8 bytes {int fd; short events, revents}.
  while (poll(pollfd, 1, -1) < 0) {
    const errno = lastErrno()
    if (errno !== EINTR) throw new SystemCallError(`poll fd ${fd}`, errno)
  }
}
