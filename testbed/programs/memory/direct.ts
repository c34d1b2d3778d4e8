/**
 * One read(2) with O_DIRECT into mapped guest memory: `direct.ts FILE PATH LENGTH [OFFSET]` reads the first
 * page of FILE into the first one of what PATH maps at OFFSET. Prints the bytes moved or the error: EFAULT
 * where the kernel has no pages to pin.
 */
import { constants, openSync } from 'node:fs'
import { lastErrno, libcCall } from '../../../src/linux/library.ts'
import { mapRaw } from '../../../src/linux/raw-memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'

const PAGE_BYTES = 4096
/** O_DIRECT, x86-64. */
const O_DIRECT = 0o40000
const pread = libcCall('pread', 'int64_t', ['int', 'uintptr_t', 'size_t', 'int64_t'])

const [file = '', path = '', length = '0', offset = '0'] = process.argv.slice(2)
const mapping = mapRaw(openSync(path, 'r+') as Fd, Number(length), { writable: true, offset: Number(offset) })
if (mapping instanceof Errno) throw new Error(`mmap ${path}: ${mapping}`)
// SAFETY: the first page of a mapping that is never unmapped.
const moved = pread(openSync(file, constants.O_RDONLY | O_DIRECT), mapping.address, PAGE_BYTES, 0)
// Before the next system call, which may change errno: the first access to standard output makes one.
const outcome = moved < 0 ? lastErrno().name : String(moved)
process.stdout.write(`${outcome}\n`)
