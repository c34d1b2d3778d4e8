/**
 * Mapped memory that is accessed by address alone: no JavaScript view of it ever exists, so unlike a view it
 * can be unmapped, and the owner of the address must not use it afterwards.
 *
 * Bytes are moved by system calls, and never by a load or a store of this process: the kernel answers EFAULT
 * where a page is gone or poisoned (docs/internals/poisoned-pages.md), and a load would be SIGBUS, which ends
 * the process. They are copied through a memfd, since no call copies from memory to memory for every kind of
 * mapping: process_vm_readv(2) refuses /dev/mem's (VM_PFNMAP). Numbers:
 * include/uapi/asm-generic/mman-common.h.
 */

import { openSync } from 'node:fs'
import { EFAULT, EINTR, EIO, Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { MIB } from '../values/units.ts'
import { errnoOfNodeError, lastErrno, libcCall, must } from './library.ts'
import { readAt, tryMemfdCreate, writeAllAt } from './memory.ts'

const mmap = libcCall('mmap', 'int64_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t'])
const munmap = libcCall('munmap', 'int', ['uintptr_t', 'size_t'])
const readTo = libcCall('pread', 'int64_t', ['int', 'uintptr_t', 'size_t', 'int64_t'])
const writeFrom = libcCall('pwrite', 'int64_t', ['int', 'uintptr_t', 'size_t', 'int64_t'])

const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1

/** A mapping of this process. It is the same for all its threads: a number that can be passed to a worker. */
export interface RawMapping {
  readonly address: number
  readonly lengthBytes: number
}

export interface Access {
  readonly writable: boolean
  /** Where in `fd` it begins: bytes, a multiple of the page size. Default 0. */
  readonly offset?: number
}

/**
 * Maps `lengthBytes` of `fd`, shared; device-dax aligns the address to the device by itself
 * (dax_get_unmapped_area). The descriptor may be closed afterwards. Errors: ENXIO (no driver behind the
 * device), EINVAL (length not aligned), ENOMEM, EACCES.
 */
export function mapRaw(fd: Fd, lengthBytes: number, { writable, offset = 0 }: Access): RawMapping | Errno {
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
  // SAFETY: a new mapping at an address of the kernel's choice; the caller owns it.
  const address = mmap(0, lengthBytes, protection, MAP_SHARED, fd, offset)
  return address < 0 ? lastErrno() : { address, lengthBytes }
}

/** The caller guarantees that the address is not used from now on. */
export function unmapRaw(mapping: RawMapping): void {
  // SAFETY: exactly what mapRaw gave; no view of it exists, and the caller does not use the address any more.
  must(munmap(mapping.address, mapping.lengthBytes), `munmap ${mapping.lengthBytes} bytes`)
}

/** What is moved at once. */
const PORTION_BYTES = MIB

let scratchFd: Fd | undefined
let zeros: Fd | undefined

/** A memfd to copy through, one a thread. Errors: EMFILE, ENFILE, ENOMEM; the next call tries again. */
function scratch(): Fd | Errno {
  if (scratchFd !== undefined) return scratchFd
  const made = tryMemfdCreate('guestmemfs:scratch', { sealable: false })
  if (!(made instanceof Errno)) scratchFd = made
  return made
}

/** The same of /dev/zero. */
function zeroDevice(): Fd | Errno {
  try {
    zeros ??= openSync('/dev/zero', 'r') as Fd
    return zeros
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/**
 * `offset` and `lengthBytes` must lie inside the mapping: RangeError otherwise, nothing written. Runs at
 * memory speed. Errors: EIO (a page is lost); what lies before it may be zero then. EMFILE, ENFILE, ENOMEM:
 * nothing was written.
 */
export function zeroRaw(mapping: RawMapping, offset: number, lengthBytes: number): Errno | undefined {
  check(mapping, offset, lengthBytes)
  const from = zeroDevice()
  if (from instanceof Errno) return from
  // SAFETY: inside the mapping, which its owner keeps until this returns.
  return moveAll(lengthBytes, (done, bytes) => readTo(from, mapping.address + offset + done, bytes, 0))
}

/**
 * Copies from the mapping; RangeError when it does not lie inside. Errors: EIO (a page is lost), EMFILE,
 * ENFILE, ENOMEM.
 */
export function readRaw(mapping: RawMapping, offset: number, into: Uint8Array): Errno | undefined {
  check(mapping, offset, into.byteLength)
  const memfd = scratch()
  if (memfd instanceof Errno) return memfd
  return inPortions(into.byteLength, (from, length) => {
    // SAFETY: inside the mapping, which its owner keeps until this returns.
    const failed = moveAll(length, (done, bytes) =>
      writeFrom(memfd, mapping.address + offset + from + done, bytes, done),
    )
    if (failed !== undefined) return failed
    const moved = readAt(memfd, 0, into.subarray(from, from + length))
    return moved === length ? undefined : typeof moved === 'number' ? EIO : moved
  })
}

/**
 * Copies into the mapping; RangeError when it does not lie inside. Errors: EIO (a page is lost); what lies
 * before it may be written then. EMFILE, ENFILE, ENOMEM.
 */
export function writeRaw(mapping: RawMapping, offset: number, from: Uint8Array): Errno | undefined {
  check(mapping, offset, from.byteLength)
  const memfd = scratch()
  if (memfd instanceof Errno) return memfd
  return inPortions(from.byteLength, (at, length) => {
    const failed = writeAllAt(memfd, 0, from.subarray(at, at + length))
    if (failed !== undefined) return failed
    // SAFETY: inside the mapping, which its owner keeps until this returns.
    return moveAll(length, (done, bytes) => readTo(memfd, mapping.address + offset + at + done, bytes, done))
  })
}

function inPortions(
  lengthBytes: number,
  move: (from: number, length: number) => Errno | undefined,
): Errno | undefined {
  for (let from = 0; from < lengthBytes; from += PORTION_BYTES) {
    const failed = move(from, Math.min(PORTION_BYTES, lengthBytes - from))
    if (failed !== undefined) return failed
  }
  return undefined
}

/**
 * `move` answers as pread(2) does. EFAULT, or fewer bytes than asked for, means a page that cannot be read.
 */
function moveAll(lengthBytes: number, move: (done: number, bytes: number) => number): Errno | undefined {
  for (let done = 0; done < lengthBytes; ) {
    const moved = move(done, lengthBytes - done)
    if (moved < 0) {
      const errno = lastErrno()
      if (errno === EINTR) continue
      return errno === EFAULT ? EIO : errno
    }
    if (moved === 0) return EIO
    done += moved
  }
  return undefined
}

function check({ lengthBytes }: RawMapping, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > lengthBytes)
    throw new RangeError(`${length} bytes at ${offset} do not lie in a mapping of ${lengthBytes}`)
}
