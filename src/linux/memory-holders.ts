/**
 * The search for the processes that map a range of physical memory through /dev/mem. An open descriptor shows
 * nothing: it has no range. Needs root, and sees what holders.ts sees. It leaves out this process, which
 * keeps track of its own mappings.
 */
import { join } from 'node:path'
import { EACCES } from '../values/errno.ts'
import { characterDevice, type Holder, lookForHolders, readWhileAlive } from './holders.ts'
import { errnoOfNodeError } from './library.ts'
import { MEMORY_DEVICE } from './memory-device.ts'
import type { PhysicalRange } from './memory-ranges.ts'

/**
 * Of which of `ranges` a process maps bytes, and one such process for each. No process mapped a range that is
 * not in the answer, as with `findHolders`; but another process of root's may map it at any time.
 */
export function findMemoryHolders(
  ranges: readonly PhysicalRange[],
  proc = '/proc',
  onTask?: () => void,
  self = process.pid,
): Map<PhysicalRange, Holder> {
  const ask = (task: string) => (isOurs(task, self) ? new Set<PhysicalRange>() : rangesOf(task, ranges))
  return lookForHolders(new Set(ranges), ask, proc, onTask)
}

const isOurs = (task: string, self: number): boolean => Number(task.slice(task.lastIndexOf('/') + 1)) === self

/** A process may change its mappings after the list of them was read, and before one is. */
const MAX_LOOKS = 3

/** undefined: the mappings cannot be read. */
function rangesOf(task: string, wanted: readonly PhysicalRange[]): Set<PhysicalRange> | undefined {
  try {
    for (let look = 0; look < MAX_LOOKS; look++) {
      const found = new Set<PhysicalRange>()
      let isGone = false
      for (const { name, start, end } of fileMappings(readWhileAlive(join(task, 'maps')))) {
        const hit = wanted.filter((range) => start < range.start + range.lengthBytes && range.start < end)
        if (hit.length === 0) continue
        // A large file may be mapped at the same offset.
        const device = characterDevice(join(task, 'map_files', name))
        if (device === 'gone') isGone = true
        else if (device === MEMORY_DEVICE) for (const range of hit) found.add(range)
      }
      if (!isGone) return found
    }
    return undefined
  } catch (error) {
    if (errnoOfNodeError(error) === EACCES) return undefined
    throw error
  }
}

interface FileMapping {
  readonly name: string
  /** Bytes of the file: of /dev/mem, physical addresses. */
  readonly start: number
  readonly end: number
}

/**
 * `START-END PERMISSIONS OFFSET DEVICE INODE PATH`, all but the inode in hexadecimal. Private mappings read
 * the memory as well.
 */
function* fileMappings(maps: string): Generator<FileMapping> {
  for (const line of maps.split('\n')) {
    const [name = '', , offset = '', , inode = '0'] = line.split(/\s+/, 5)
    if (inode === '0') continue
    const [from = 0, to = 0] = name.split('-').map((text) => Number.parseInt(text, 16))
    const start = Number.parseInt(offset, 16)
    yield { name, start, end: start + to - from }
  }
}
