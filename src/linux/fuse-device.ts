/**
 * /dev/fuse as a descriptor: one blocking read per request, one write per reply, and backing files. Must not:
 * decode a request. Sources: fs/fuse/dev.c, fs/fuse/backing.c, include/uapi/linux/fuse.h.
 *
 * Reads and writes go straight to libc: a koffi call takes about 2/3 of the time of fs.readSync or
 * fs.writeSync, measured on the same descriptor, and it answers with errno instead of building an Error.
 */
import { openSync } from 'node:fs'
import { EAGAIN, ECONNABORTED, EINTR, ENODEV, ENOENT, ENOMEM, type Errno } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import type { BackingId, Fd } from '../values/ids.ts'
import { errnoUnlessZero, lastErrno, libcCall, orErrno } from './library.ts'

const read = libcCall('read', 'int64_t', ['int', 'void *', 'size_t'])
const write = libcCall('write', 'int64_t', ['int', 'void *', 'size_t'])
const ioctl = libcCall('ioctl', 'int', ['int', 'ulong', 'void *'])

/** _IOW(229, 1, struct fuse_backing_map {s32 fd; u32 flags; u64 padding}) and _IOW(229, 2, u32). */
const FUSE_DEV_IOC_BACKING_OPEN = 0x4010e501
const FUSE_DEV_IOC_BACKING_CLOSE = 0x4004e502

/** A /dev/fuse that has no connection until `mountFuse` gets it. Throws what openSync throws. */
export function openFuseDevice(): Fd {
  return openSync('/dev/fuse', 'r+') as Fd
}

/**
 * Blocks until the kernel sends a request, and returns its length. `buffer` must hold max_write + 4096 bytes,
 * or every read fails with EINVAL. 'again': a signal, the request was aborted while it was read, or the
 * kernel had no memory to copy it, and has answered it EIO (fuse_dev_do_read). 'gone': the connection has
 * ended (unmounted or aborted). Throws SystemCallError, EPERM before the mount.
 */
export function readRequest(fd: Fd, buffer: Uint8Array): number | 'gone' | 'again' {
  // SAFETY: read writes at most buffer.byteLength bytes to the buffer, which is reachable during the call.
  const length = read(fd, buffer, buffer.byteLength)
  if (length > 0) return length
  if (length === 0) return 'gone'
  const errno = lastErrno()
  if (errno === EINTR || errno === EAGAIN || errno === ENOENT || errno === ENOMEM) return 'again'
  if (errno === ENODEV || errno === ECONNABORTED) return 'gone'
  throw new SystemCallError(`read /dev/fuse fd ${fd}`, errno)
}

/**
 * One reply (or notification) in one write: all or nothing. Errors: ENOENT (no caller waits for it: the
 * request was aborted, or answered before), EINVAL (the kernel refuses the reply), ENODEV or EPERM
 * (connection gone).
 */
export function writeReply(fd: Fd, bytes: Uint8Array): Errno | undefined {
  for (;;) {
    // SAFETY: write reads exactly bytes.byteLength bytes, which are reachable during the call.
    if (write(fd, bytes, bytes.byteLength) >= 0) return undefined
    const errno = lastErrno()
    if (errno !== EINTR) return errno
  }
}

/**
 * Lets files of this connection be backed by `fd`; the kernel keeps its own reference. Needs CAP_SYS_ADMIN.
 * Errors: EINVAL (not a regular file), ELOOP (its file system cannot be stacked on), EPERM (passthrough not
 * negotiated), EBADF.
 */
export function openBacking(fuseFd: Fd, fd: Fd): BackingId | Errno {
  const map = new Int32Array([fd, 0, 0, 0])
  // SAFETY: the kernel reads one struct fuse_backing_map of 16 bytes, which `map` is.
  return orErrno(ioctl(fuseFd, FUSE_DEV_IOC_BACKING_OPEN, map)) as BackingId | Errno
}

/** Files that are open with the id keep it; it cannot be used for further opens. Errors: ENOENT, EPERM. */
export function closeBacking(fuseFd: Fd, id: BackingId): Errno | undefined {
  // SAFETY: the kernel reads one u32.
  return errnoUnlessZero(ioctl(fuseFd, FUSE_DEV_IOC_BACKING_CLOSE, new Uint32Array([id])))
}
