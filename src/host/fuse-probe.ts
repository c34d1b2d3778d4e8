/**
 * The probe of the kernel's FUSE: it mounts a connection on an empty folder of its own, reads the INIT
 * request, and removes both again. Must not: answer a request; no other process uses the folder. Layout:
 * `struct fuse_in_header` and `struct fuse_init_in`, include/uapi/linux/fuse.h.
 */
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { close, waitReadable } from '../linux/descriptors.ts'
import { openFuseDevice, readRequest } from '../linux/fuse-device.ts'
import { mountFuse, unmount } from '../linux/mounts.ts'
import { Errno } from '../values/errno.ts'

export interface FuseAbilities {
  readonly major: number
  readonly minor: number
  readonly passthrough: boolean
}

/**
 * `fuse_in_header` is 40 bytes; in `fuse_init_in` major, minor, max_readahead, flags and flags2 follow each
 * other.
 */
const INIT_IN = 40
/** Flag 37: bit 5 of the second word of flags, valid when FUSE_INIT_EXT (30) is set in the first. */
const FUSE_INIT_EXT = 1 << 30
const FUSE_PASSTHROUGH_2 = 1 << 5

/** What an INIT request says. Exported for its test. */
export function parseInit(request: Uint8Array): FuseAbilities {
  const words = new DataView(request.buffer, request.byteOffset + INIT_IN)
  const flags = words.getUint32(12, true)
  const flags2 = (flags & FUSE_INIT_EXT) !== 0 ? words.getUint32(16, true) : 0
  return {
    major: words.getUint32(0, true),
    minor: words.getUint32(4, true),
    passthrough: (flags2 & FUSE_PASSTHROUGH_2) !== 0,
  }
}

/** Errors: the mount's Errno (EPERM without CAP_SYS_ADMIN). Throws what opening /dev/fuse throws. */
export function probeFuse(): FuseAbilities | Errno {
  const fd = openFuseDevice()
  const target = mkdtempSync(join(tmpdir(), 'guestmemfs-probe-'))
  try {
    const refused = mountFuse({ fuseFd: fd, source: 'guestmemfs-probe', target, flags: 0, options: [] })
    if (refused instanceof Errno) return refused
    // The kernel needs a buffer of FUSE_MIN_READ_BUFFER (8192) bytes at least.
    const buffer = new Uint8Array(64 * 1024)
    waitReadable(fd, 5000)
    const length = readRequest(fd, buffer)
    unmount(target, { lazy: true })
    return typeof length === 'number'
      ? parseInit(buffer.subarray(0, length))
      : { major: 0, minor: 0, passthrough: false }
  } finally {
    // Closing the only descriptor ends the connection, so that removing the folder does not wait.
    close(fd)
    rmdirSync(target)
  }
}
