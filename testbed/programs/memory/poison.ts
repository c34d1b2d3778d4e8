/**
 * Has the kernel poison a page of memory: `poison.ts FILE OFFSET`, by madvise(2) of a mapping of FILE. Needs
 * CONFIG_MEMORY_FAILURE and CAP_SYS_ADMIN.
 */
import { closeSync, openSync } from 'node:fs'
import { libcCall, must } from '../../../src/linux/library.ts'
import { mapRaw, readRaw } from '../../../src/linux/raw-memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'
import { PTE_BYTES } from '../../../src/values/units.ts'

const MADV_HWPOISON = 100
const madvise = libcCall('madvise', 'int', ['uintptr_t', 'size_t', 'int'])

const [path = '', offset = '0'] = process.argv.slice(2)
const fd = openSync(path, 'r+')
const mapping = mapRaw(fd as Fd, PTE_BYTES, { writable: true, offset: Number(offset) })
if (mapping instanceof Errno) throw new Error(`mmap ${path}: ${mapping}`)
closeSync(fd)
readRaw(mapping, 0, new Uint8Array(1)) // so that there is a page
// SAFETY: exactly the mapping, which this process does not touch any more.
must(madvise(mapping.address, PTE_BYTES, MADV_HWPOISON), `madvise ${path}`)
