/**
 * One measurement of a mapping of guest RAM, in a process of its own: mappings here are never unmapped, and a
 * fresh process faults every page anew. Prints one JSON object. First argument: a path, or `memfd`; second:
 * bytes.
 */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { libcCall } from '../../src/linux/library.ts'
import { adviseHuge, mapShared, memfdCreate, resize } from '../../src/linux/memory.ts'
import type { Fd } from '../../src/values/ids.ts'

const [, , place = 'memfd', bytes = '0'] = process.argv
const lengthBytes = Number(bytes)
const TOUCHES = 4_000_000

const memset = libcCall('memset', 'uintptr_t', ['void *', 'int', 'size_t'])
const memchr = libcCall('memchr', 'uintptr_t', ['void *', 'int', 'size_t'])

function timed(work: () => void): number {
  const started = performance.now()
  work()
  return performance.now() - started
}

/** Bytes of the mapping that the page tables map by whole 2 MiB entries. */
function pmdMappedBytes(): number {
  const rows = readFileSync('/proc/self/smaps', 'latin1').matchAll(/^(?:Shmem|File)PmdMapped:\s+(\d+) kB$/gm)
  return [...rows].reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0)
}

const fd =
  place === 'memfd' ? memfdCreate('guestmemfs-bench', { sealable: false }) : (openSync(place, 'r+') as Fd)
if (place === 'memfd') resize(fd, lengthBytes)
const mapping = mapShared(fd, lengthBytes)
adviseHuge(mapping)

// SAFETY: both calls stay inside `mapping`, which is lengthBytes long and stays mapped as long as this
// process runs.
const fillMs = timed(() => void memset(mapping, 1, lengthBytes))
const pmdBytes = pmdMappedBytes()
const readMs = timed(() => void memchr(mapping, 2, lengthBytes))
const touchMs = timed(() => {
  const words = new Uint32Array(mapping.buffer)
  let x = 88172645
  for (let index = 0; index < TOUCHES; index += 1) {
    // xorshift32: the same random order on every side.
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    const at = (x >>> 0) % words.length
    words[at] = (words[at] ?? 0) + 1
  }
})
closeSync(fd)
process.stdout.write(JSON.stringify({ fillMs, readMs, touchMs, pmdBytes }))
