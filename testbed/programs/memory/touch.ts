/**
 * A process that maps a file, as a VMM does, and reads or writes a byte of each page:
 * `touch.ts PATH LENGTH [OFFSET]`. Prints, as JSON, the size of the page tables for it, and the page sizes of
 * the mapping by the kernel.
 */
import { openSync, readFileSync, statSync } from 'node:fs'
import { addressOf } from '../../../src/linux/library.ts'
import { adviseHuge, mapShared } from '../../../src/linux/memory.ts'
import { parseSmaps } from '../../../src/linux/page-sizes.ts'
import { mapRaw, readRaw } from '../../../src/linux/raw-memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'

const PAGE_BYTES = 4096
const [path = '', length = '0', offset = '0'] = process.argv.slice(2)
const lengthBytes = Number(length)

const tableBytes = (): number =>
  1024 * Number(/^VmPTE:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1])

/**
 * For memory of the page allocator it requests huge pages by madvise(2), as QEMU does; the pages of a device
 * are given.
 */
function touch(fd: Fd): number {
  if (statSync(path).isFile()) {
    const view = mapShared(fd, lengthBytes)
    adviseHuge(view)
    for (let at = 0; at < lengthBytes; at += PAGE_BYTES) view[at] = 1
    return addressOf(view)
  }
  const mapping = mapRaw(fd, lengthBytes, { writable: true, offset: Number(offset) })
  if (mapping instanceof Errno) throw new Error(`mmap ${path}: ${mapping}`)
  const byte = new Uint8Array(1)
  for (let at = 0; at < lengthBytes; at += PAGE_BYTES) readRaw(mapping, at, byte)
  return mapping.address
}

/** The program's own tables change meanwhile, by about a tenth of a MiB. */
const before = tableBytes()
const start = touch(openSync(path, 'r+') as Fd)
  .toString(16)
  .padStart(8, '0')
const smaps = readFileSync('/proc/self/smaps', 'latin1')
const [block] = parseSmaps(smaps.slice(Math.max(0, smaps.search(new RegExp(`^${start}-`, 'm')))))
process.stdout.write(
  `${JSON.stringify({ tableBytes: Math.max(0, tableBytes() - before), kernelPageBytes: block?.kernelPageBytes, pmdMappedBytes: block?.pmdMappedBytes })}\n`,
)
