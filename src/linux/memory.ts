/**
 * Memfds and their mappings: made, sized, mapped, punched, sealed, read and written. Numbers:
 * include/uapi/linux/memfd.h, fcntl.h, mman.h.
 */
import { fstatSync } from 'node:fs'
import { EINTR, EINVAL, ENOSPC, type Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../values/uapi.ts'
import { PMD_BYTES, PTE_BYTES } from '../values/units.ts'
import { addressOf, errnoUnlessZero, lastErrno, libcCall, must, orErrno, viewOf } from './library.ts'

const memfd_create = libcCall('memfd_create', 'int', ['str', 'uint'])
const ftruncate = libcCall('ftruncate', 'int', ['int', 'int64_t'])
const fallocate = libcCall('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t'])
const lseek = libcCall('lseek', 'int64_t', ['int', 'int64_t', 'int'])
const pread = libcCall('pread', 'int64_t', ['int', 'void *', 'size_t', 'int64_t'])
const pwrite = libcCall('pwrite', 'int64_t', ['int', 'void *', 'size_t', 'int64_t'])
const mmap = libcCall('mmap', 'int64_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t'])
const munmap = libcCall('munmap', 'int', ['uintptr_t', 'size_t'])
const madvise = libcCall('madvise', 'int', ['uintptr_t', 'size_t', 'int'])
const fcntl = libcCall('fcntl', 'int', ['int', 'int', 'long'])

const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
/**
 * Since Linux 6.3, which would otherwise take the default of vm.memfd_noexec; before, each can be executed.
 */
const MFD_EXEC = 0x10
const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1
const MAP_PRIVATE = 2
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = 0x20
const MADV_HUGEPAGE = 14
const MADV_COLLAPSE = 25
const F_ADD_SEALS = 1033
const F_SEAL_WRITE = 8

/**
 * A new, empty memfd, close-on-exec. `name` is seen in /proc alone. Throws SystemCallError: EMFILE, ENFILE,
 * ENOMEM.
 */
export function memfdCreate(name: string, { sealable }: { sealable: boolean }): Fd {
  return must(tryMemfdCreate(name, { sealable }), `memfd_create ${name}`)
}

/**
 * The same for a caller that plans for its failure. `executable`: it is to hold a program. Errors: EMFILE,
 * ENFILE, ENOMEM; EACCES: this kernel executes no memfds.
 */
export function tryMemfdCreate(
  name: string,
  { sealable, executable = false }: { sealable: boolean; executable?: boolean },
): Fd | Errno {
  const flags = MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0)
  const made = orErrno(memfd_create(name, flags | (executable ? MFD_EXEC : 0)))
  return (executable && made === EINVAL ? orErrno(memfd_create(name, flags)) : made) as Fd | Errno
}

/**
 * Maps `lengthBytes` of `fd` from `offset` on readable and writable, shared, as bytes. From 2 MiB on the
 * address is a multiple of 2 MiB, so that the kernel can use huge pages. Throws SystemCallError.
 *
 * Never unmapped: JavaScript cannot tell when the last view is gone, and a store through a view whose mapping
 * is gone, or was replaced by another, would crash this process or silently damage what is there now. Map
 * once, until the process ends.
 */
export function mapShared(fd: Fd, lengthBytes: number, offset = 0): Uint8Array<ArrayBuffer> {
  const what = `mmap ${lengthBytes} bytes of fd ${fd}`
  // SAFETY: the address comes from mmap and covers lengthBytes; the mapping belongs to the view for the life
  // of the process.
  if (lengthBytes < PMD_BYTES) {
    const address = must(mmap(0, lengthBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset), what)
    return viewOf(address, lengthBytes)
  }
  // SAFETY: MAP_FIXED replaces only addresses of the reservation made one line above, and only its unused
  // ends, which no view was ever made of, are unmapped.
  const pages = Math.ceil(lengthBytes / PTE_BYTES) * PTE_BYTES
  const reserved = must(mmap(0, pages + PMD_BYTES, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), what)
  const start = Math.ceil(reserved / PMD_BYTES) * PMD_BYTES
  must(mmap(start, lengthBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset), what)
  if (start > reserved) munmap(reserved, start - reserved)
  munmap(start + pages, reserved + PMD_BYTES - start)
  return viewOf(start, lengthBytes)
}

/** Requests huge pages for a mapping (a hint: nothing happens where shmem_enabled is `never`). */
export function adviseHuge(mapping: Uint8Array): Errno | undefined {
  // SAFETY: the range is exactly the view's own mapping; MADV_HUGEPAGE changes no byte.
  return errnoUnlessZero(madvise(addressOf(mapping), mapping.byteLength, MADV_HUGEPAGE))
}

/**
 * Makes huge pages of a mapping now, whatever shmem_enabled says (Linux 6.1). Slow, O(bytes), allocates what
 * is missing. Errors: EAGAIN and EBUSY (pages in use: try later), ENOMEM, EINVAL (a 2 MiB range of it has no
 * page at all yet, or it is not aligned).
 */
export function collapse(mapping: Uint8Array): Errno | undefined {
  // SAFETY: the range is exactly the view's own mapping; MADV_COLLAPSE changes no byte.
  return errnoUnlessZero(madvise(addressOf(mapping), mapping.byteLength, MADV_COLLAPSE))
}

/**
 * ftruncate(2). Bytes past the old end read as zero, the kernel frees pages past the new end. It adds pages
 * at the first touch, so growing cannot run out of memory. Errors: EFBIG (beyond RLIMIT_FSIZE, or the largest
 * file), EPERM (sealed, or preserved by LUO), EINVAL; nothing has changed then.
 */
export function resize(fd: Fd, sizeBytes: number): Errno | undefined {
  for (;;) {
    const errno = errnoUnlessZero(ftruncate(fd, sizeBytes))
    if (errno !== EINTR) return errno
  }
}

/** Bytes up to its end, and bytes of pages it has: what is missing between them are holes. */
export function memfdSize(fd: Fd): { readonly sizeBytes: number; readonly allocatedBytes: number } {
  const { size, blocks } = fstatSync(fd)
  return { sizeBytes: size, allocatedBytes: blocks * 512 }
}

/** Tells a memfd from any other of this boot: the inode number's lower half, never 0. */
export const memfdIdentity = (fd: Fd): number => fstatSync(fd).ino % 2 ** 32 || 1

/**
 * Frees the pages of a range; it reads as zero afterwards, the size stays. Errors: EPERM (sealed, preserved).
 */
export function punchHole(fd: Fd, offset: number, length: number): Errno | undefined {
  for (;;) {
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    const errno = errnoUnlessZero(fallocate(fd, mode, offset, length))
    if (errno !== EINTR) return errno
  }
}

/**
 * lseek(2), for SEEK_DATA (3) and SEEK_HOLE (4) above all. Moves the descriptor's position, which nothing
 * here uses. Errors: ENXIO.
 */
export function seek(fd: Fd, offset: number, whence: number): number | Errno {
  return orErrno(lseek(fd, offset, whence))
}

/**
 * F_SEAL_WRITE, for good: only for the memory of an object that is about to be released. Errors: EBUSY (some
 * process has a shared mapping it may write to, `mapping_deny_writable`), EPERM (it cannot be sealed), and
 * nothing was changed. Private mappings are not noticed.
 */
export function sealWrites(fd: Fd): Errno | undefined {
  return errnoUnlessZero(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE))
}

/**
 * Fills `bytes` from `offset`. Returns the bytes moved: fewer at the end of the file, or before a page that
 * cannot be read. Errors: why none were moved, EIO (a poisoned page), EFAULT.
 */
export function readAt(fd: Fd, offset: number, bytes: Uint8Array): number | Errno {
  // SAFETY: pread writes at most the rest of `bytes`, which is reachable during the call.
  return moveAll(bytes, (rest, done) => pread(fd, rest, rest.byteLength, offset + done))
}

/**
 * Stores `bytes` at `offset`. Returns the bytes moved: fewer where the next one cannot be stored. Errors: why
 * none were: ENOMEM (a cgroup's limit), ENOSPC, EFBIG (RLIMIT_FSIZE), EIO (a poisoned page), EPERM (sealed),
 * EDQUOT, EAGAIN.
 */
export function writeAt(fd: Fd, offset: number, bytes: Uint8Array): number | Errno {
  // SAFETY: pwrite reads at most the rest of `bytes`, which is reachable during the call.
  return moveAll(bytes, (rest, done) => pwrite(fd, rest, rest.byteLength, offset + done))
}

/** Stores all of `bytes`. Errors: those of `writeAt`, ENOSPC; some may be stored then. */
export function writeAllAt(fd: Fd, offset: number, bytes: Uint8Array): Errno | undefined {
  for (let done = 0; done < bytes.byteLength; ) {
    const moved = writeAt(fd, offset + done, bytes.subarray(done))
    if (typeof moved !== 'number') return moved
    if (moved === 0) return ENOSPC
    done += moved
  }
  return undefined
}

/** The errno that stopped it is returned by the next call, which moves nothing. */
function moveAll(bytes: Uint8Array, move: (rest: Uint8Array, done: number) => number): number | Errno {
  let done = 0
  while (done < bytes.byteLength) {
    const moved = move(done === 0 ? bytes : bytes.subarray(done), done)
    if (moved === 0) break
    if (moved < 0) {
      const errno = lastErrno()
      if (errno === EINTR) continue
      return done > 0 ? done : errno
    }
    done += moved
  }
  return done
}
