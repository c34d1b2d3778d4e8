/**
 * Has the kernel poison a page of memory: `poison.ts FILE OFFSET`, by madvise(2) of a mapping of FILE, which
 * may be a node of device-dax: that can be mapped in whole pages of 2 MiB alone. Needs CONFIG_MEMORY_FAILURE
 * and CAP_SYS_ADMIN.
 */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { libcCall, must } from '../../../src/linux/library.ts'
import { mapRaw, readRaw } from '../../../src/linux/raw-memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'
import { PMD_BYTES, PTE_BYTES } from '../../../src/values/units.ts'

const MADV_HWPOISON = 100
const madvise = libcCall('madvise', 'int', ['uintptr_t', 'size_t', 'int'])

const [path = '', offset = '0'] = process.argv.slice(2)
const fd = openSync(path, 'r+')
const unit = fstatSync(fd).isCharacterDevice() ? PMD_BYTES : PTE_BYTES
const inUnit = Number(offset) % unit
const mapping = mapRaw(fd as Fd, unit, { writable: true, offset: Number(offset) - inUnit })
if (mapping instanceof Errno) throw new Error(`mmap ${path}: ${mapping}`)
closeSync(fd)
readRaw(mapping, inUnit, new Uint8Array(1)) // so that there is a page
// SAFETY: a page of the mapping, which this process does not touch any more.
must(madvise(mapping.address + inUnit, PTE_BYTES, MADV_HWPOISON), `madvise ${path}`)
