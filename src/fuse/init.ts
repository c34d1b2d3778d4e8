/**
 * The first exchange of a connection: what the server asks of the kernel, and why. Must not: keep state: the
 * outcome is a plain value, because the kernel sends the next server of the same connection no second INIT.
 * Source: process_init_reply() and fuse_new_init(), fs/fuse/inode.c.
 */

import { MIB, PTE_BYTES } from '../values/units.ts'
import { INIT_FLAGS } from './constants.ts'
import type { INIT_IN, INIT_OUT } from './kernel-structs.ts'
import type { ValuesOf } from './struct.ts'

/** The largest WRITE and READ in bytes, and so, with a page for the headers, the size of the read buffer. */
export const MAX_WRITE_BYTES = MIB
const MAX_PAGES = MAX_WRITE_BYTES / PTE_BYTES

const MAJOR = 7
/**
 * The minor version that the server supports. The first with RESEND, and with backing ids in OPEN replies
 * (Linux 6.9).
 */
const MINOR = 40

/**
 * Flags without which the server refuses to serve:
 * INIT_EXT         carries the flags above bit 31.
 * PASSTHROUGH      mmap maps guest RAM from the memfd itself, which is what this file system is for.
 * HAS_RESEND       the kernel sends the next server again what a killed one left unanswered.
 */
const REQUIRED = INIT_FLAGS.INIT_EXT | INIT_FLAGS.PASSTHROUGH | INIT_FLAGS.HAS_RESEND

/**
 * Flags that the server takes where the kernel offers them:
 * BIG_WRITES, MAX_PAGES  1 MiB per READ and WRITE instead of 128 KiB: device state of a VM in few requests.
 * DO_READDIRPLUS, READDIRPLUS_AUTO   `ls -l` without a LOOKUP per name; AUTO spares plain `ls` the lookups.
 * PARALLEL_DIROPS  lookups in one directory need not queue on its mutex. The server is one thread, but with
 *                  several requests in the queue it finds the next one without sleeping; callers wait
 *                  killably.
 *
 * Flags that it does not take, each for its reason:
 * ATOMIC_O_TRUNC   truncation stays a SETATTR of its own: one place decides about sizes.
 * WRITEBACK_CACHE  excludes passthrough; an ordinary file's bytes must be in the store when write(2) returns.
 * DIRECT_IO_ALLOW_MMAP  would map DIRECT_IO files through the page cache: a copy of guest RAM.
 * POSIX_LOCKS, FLOCK_LOCKS  the kernel keeps locks by itself: they end with processes of this machine.
 * CACHE_SYMLINKS   a symlink to a device node may get another target; nothing would invalidate the cache.
 * NO_OPEN_SUPPORT, NO_OPENDIR_SUPPORT  passthrough is chosen in the OPEN reply; the second also caches
 *                  directories.
 * HANDLE_KILLPRIV, _V2  the kernel drops set-id bits itself on truncate, chown and fallocate, with a SETATTR;
 *                  for a WRITE to a DIRECT_IO file it only sets a bit in `write_flags`, in either case.
 * EXPORT_SUPPORT   file handles would have to outlive the connection.
 * SETXATTR_EXT     one flag for POSIX ACLs, which are not supported here.
 * DONT_MASK        the kernel applies the umask.
 * AUTO_INVAL_DATA, ASYNC_READ, ASYNC_DIO  page cache and split I/O: every file here is opened DIRECT_IO, and
 *                  one thread serves.
 */
const WANTED =
  REQUIRED |
  INIT_FLAGS.BIG_WRITES |
  INIT_FLAGS.MAX_PAGES |
  INIT_FLAGS.DO_READDIRPLUS |
  INIT_FLAGS.READDIRPLUS_AUTO |
  INIT_FLAGS.PARALLEL_DIROPS

/** What server and kernel agreed on: plain numbers that fit a fixed record. */
export interface Negotiated {
  /** The kernel's own minor version, 40 or higher. */
  readonly kernelMinor: number
  /** The INIT flags in force, lower and upper 32 bits, unsigned. */
  readonly flags: number
  readonly flags2: number
  readonly maxWriteBytes: number
}

export type Negotiation =
  | { readonly initOut: ValuesOf<typeof INIT_OUT>; readonly session: Negotiated }
  /** One line for the operator. The mount cannot be served. */
  | { readonly refusal: string }

export function negotiate(initIn: ValuesOf<typeof INIT_IN>): Negotiation {
  const { major, minor } = initIn
  if (major !== MAJOR || minor < MINOR) {
    return {
      refusal: `this kernel has FUSE ${major}.${minor}, ${MAJOR}.${MINOR} is needed: boot Linux 6.9 or newer`,
    }
  }
  const offered = (BigInt(initIn.flags2) << 32n) | BigInt(initIn.flags)
  if ((offered & INIT_FLAGS.PASSTHROUGH) === 0n) {
    return {
      refusal: 'this kernel offers no FUSE passthrough: boot one built with CONFIG_FUSE_PASSTHROUGH=y',
    }
  }
  if ((offered & REQUIRED) !== REQUIRED) {
    return {
      refusal: `this kernel lacks FUSE features (offers 0x${offered.toString(16)}, 0x${REQUIRED.toString(16)} are needed)`,
    }
  }
  const agreed = offered & WANTED
  const flags = Number(agreed & 0xffff_ffffn)
  const flags2 = Number(agreed >> 32n)
  return {
    session: { kernelMinor: minor, flags, flags2, maxWriteBytes: MAX_WRITE_BYTES },
    initOut: {
      major: MAJOR,
      minor: MINOR,
      maxReadahead: initIn.maxReadahead,
      flags,
      // The kernel sends RELEASE and FORGET in the background: as many may queue as processes make when they
      // close many files at once.
      maxBackground: 64,
      congestionThreshold: 48,
      maxWrite: MAX_WRITE_BYTES,
      timeGran: 1,
      maxPages: MAX_PAGES,
      mapAlignment: 0,
      flags2,
      // Backing files may be on a file system that is not stacked itself: memfds are.
      maxStackDepth: 1,
      // None: a timeout would abort the connection while a killed server is being replaced.
      requestTimeout: 0,
    },
  }
}
