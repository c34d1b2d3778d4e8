/**
 * Eventfds: a counter that one thread raises and another waits for in poll(2). Numbers:
 * include/uapi/linux/eventfd.h.
 */
import { EAGAIN, EINTR } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { lastErrno, libcCall, must } from './library.ts'

const libcEventfd = libcCall('eventfd', 'int', ['uint', 'int'])
const read = libcCall('read', 'int64_t', ['int', 'void *', 'size_t'])
const write = libcCall('write', 'int64_t', ['int', 'void *', 'size_t'])

const EFD_CLOEXEC = 0o2000000
const EFD_NONBLOCK = 0o4000
const COUNTER_BYTES = 8

/**
 * Close-on-exec, never blocks. Readable once it was raised, by any thread, until it is lowered. Throws
 * SystemCallError: EMFILE.
 */
export function makeEventfd(): Fd {
  return must(libcEventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd') as Fd
}

/** Makes it readable, for every thread that polls it. Errors: SystemCallError. */
export function raiseEventfd(fd: Fd): void {
  // SAFETY: write(2) reads the 8 bytes of the array, which outlives the call.
  while (write(fd, BigUint64Array.of(1n), COUNTER_BYTES) < 0) {
    const errno = lastErrno()
    // The counter is full: then it is raised already.
    if (errno === EAGAIN) return
    if (errno !== EINTR) throw new SystemCallError(`write eventfd ${fd}`, errno)
  }
}

/** False: no thread raised it since it was lowered last. Errors: SystemCallError. */
export function lowerEventfd(fd: Fd): boolean {
  const counter = new BigUint64Array(1)
  // SAFETY: read(2) writes at most the 8 bytes of the array, which outlives the call.
  while (read(fd, counter, COUNTER_BYTES) < 0) {
    const errno = lastErrno()
    if (errno === EAGAIN) return false
    if (errno !== EINTR) throw new SystemCallError(`read eventfd ${fd}`, errno)
  }
  return true
}
