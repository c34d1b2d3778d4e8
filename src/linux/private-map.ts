/** Mappings of a file's bytes that cannot change them. Must not: map a file for writing. */
import { fstatSync } from 'node:fs'
import type { Fd } from '../values/ids.ts'
import { libcCall, must, viewOf } from './library.ts'

const mmap = libcCall('mmap', 'int64_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t'])
const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1
const MAP_PRIVATE = 2

/**
 * All of `fd`'s bytes, holes included; takes memory for the pages that are touched. A store into the view
 * stays in this process. Never unmapped: a view could outlive the mapping. Throws SystemCallError.
 */
export function mapPrivate(fd: Fd): Uint8Array<ArrayBuffer> {
  const lengthBytes = fstatSync(fd).size
  // mmap answers EINVAL for a length of 0.
  if (lengthBytes === 0) return new Uint8Array(0)
  // SAFETY: the address comes from mmap and covers lengthBytes; the mapping belongs to the view for the life
  // of the process.
  const address = must(mmap(0, lengthBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), `mmap fd ${fd}`)
  return viewOf(address, lengthBytes)
}

/**
 * `lengthBytes` of a device that cannot be mapped privately (device-dax: check_vma, drivers/dax/device.c). A
 * store into the view ends this process. Never unmapped, as above. Throws SystemCallError.
 */
export function mapReadOnly(fd: Fd, lengthBytes: number, offset = 0): Uint8Array<ArrayBuffer> {
  // SAFETY: the address comes from mmap and covers lengthBytes; the mapping belongs to the view for the life
  // of the process.
  const address = must(mmap(0, lengthBytes, PROT_READ, MAP_SHARED, fd, offset), `mmap fd ${fd}`)
  return viewOf(address, lengthBytes)
}
