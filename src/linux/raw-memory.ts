/**
 * Owns mapped memory that is reached by address alone: no JavaScript view of it ever exists, so unlike a view
 * it can be unmapped, and whoever holds the address is the one who must not use it afterwards. Must not know
 * what the memory is. Numbers: include/uapi/asm-generic/mman-common.h.
 */
import type { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { lastErrno, libcCall, must } from './library.ts'

const mmap = libcCall('mmap', 'int64_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t'])
const munmap = libcCall('munmap', 'int', ['uintptr_t', 'size_t'])
const memset = libcCall('memset', 'uintptr_t', ['uintptr_t', 'int', 'size_t'])
const copyTo = libcCall('memcpy', 'uintptr_t', ['uintptr_t', 'void *', 'size_t'])
const copyFrom = libcCall('memcpy', 'uintptr_t', ['void *', 'uintptr_t', 'size_t'])

const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1

/** A mapping of this process. It is the same for all its threads: a number that can be handed to a worker. */
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
  // SAFETY: a new mapping at an address of the kernel's choice; its owner is whoever gets it.
  const address = mmap(0, lengthBytes, protection, MAP_SHARED, fd, offset)
  return address < 0 ? lastErrno() : { address, lengthBytes }
}

/** Nobody may use the address from now on: that is the caller's promise. */
export function unmapRaw(mapping: RawMapping): void {
  // SAFETY: exactly what mapRaw gave; no view of it exists, and the caller gives the address up.
  must(munmap(mapping.address, mapping.lengthBytes), `munmap ${mapping.lengthBytes} bytes`)
}

/**
 * `offset` and `lengthBytes` must lie inside the mapping: RangeError otherwise, nothing written. Runs at
 * memory speed.
 */
export function zeroRaw(mapping: RawMapping, offset: number, lengthBytes: number): void {
  check(mapping, offset, lengthBytes)
  // SAFETY: inside the mapping, which its owner keeps until this returns.
  memset(mapping.address + offset, 0, lengthBytes)
}

/** Copies from the mapping; RangeError when it does not lie inside. */
export function readRaw(mapping: RawMapping, offset: number, into: Uint8Array): void {
  check(mapping, offset, into.byteLength)
  // SAFETY: both ranges are checked or exact, and neither ends before the call does.
  if (into.byteLength > 0) copyFrom(into, mapping.address + offset, into.byteLength)
}

/** Copies into the mapping; RangeError when it does not lie inside. */
export function writeRaw(mapping: RawMapping, offset: number, from: Uint8Array): void {
  check(mapping, offset, from.byteLength)
  // SAFETY: both ranges are checked or exact, and neither ends before the call does.
  if (from.byteLength > 0) copyTo(mapping.address + offset, from, from.byteLength)
}

function check({ lengthBytes }: RawMapping, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > lengthBytes)
    throw new RangeError(`${length} bytes at ${offset} do not lie in a mapping of ${lengthBytes}`)
}
