/** A mount's guest RAM: each file, and the processes that map it, with the size of their pages. */
import { join } from 'node:path'
import * as v from 'valibot'
import { type FileMapping, fileMappings } from '../linux/page-sizes.ts'
import { UsageError } from '../values/errors.ts'
import { MAP_KINDS } from '../values/mapping.ts'
import type { PoolSummary } from './pool-summary.ts'
import { readVirtualList } from './pool-view.ts'

const Listed = v.object({
  file: v.string(),
  extents: v.number(),
  map: v.object({
    kind: v.string(),
    path: v.optional(v.string()),
    offsetBytes: v.optional(v.number()),
    sizeBytes: v.number(),
    alignBytes: v.number(),
  }),
})
type Listed = v.InferOutput<typeof Listed>

export interface ListedRamFile {
  /** Below the mount point. */
  readonly file: string
  readonly sizeBytes: number
  /** How many extents it has. */
  readonly extents: number
  /** The largest pages that it was placed for. */
  readonly alignBytes: number
  readonly mappings: readonly RamMapper[]
}

export type RamMapper = Pick<FileMapping, 'pid' | 'program' | 'kernelPageBytes' | 'pmdMappedBytes'>

/**
 * None where the pool is not mounted, or no server serves it: reading the mount could hang. Nor for a user:
 * only root can read the list of files.
 */
export function ramOf({ freeBytes, mountPoint }: PoolSummary): ListedRamFile[] {
  if (freeBytes === null || mountPoint === null) return []
  try {
    return ramFiles(mountPoint)
  } catch (error) {
    if (error instanceof UsageError) return []
    throw error
  }
}

/** Throws UsageError where the mount does not answer. */
function ramFiles(mountPoint: string): ListedRamFile[] {
  const listed = readVirtualList(mountPoint, 'ram').map((item) => v.parse(Listed, item))
  if (listed.length === 0) return []
  const found = fileMappings((path, offsetBytes) =>
    listed.some((each) => isOf(each, mountPoint, path, offsetBytes)),
  )
  return listed.map((each) => ({
    file: each.file,
    sizeBytes: each.map.sizeBytes,
    extents: each.extents,
    alignBytes: each.map.alignBytes,
    mappings: found
      .filter(({ path, offsetBytes }) => isOf(each, mountPoint, path, offsetBytes))
      .map(({ pid, program, kernelPageBytes, pmdMappedBytes }) => ({
        pid,
        program,
        kernelPageBytes,
        pmdMappedBytes,
      })),
  }))
}

/**
 * The kernel lists a mapping of a device by the device's path, of a window by its offset, of anything else by
 * the file's path.
 */
function isOf({ file, map }: Listed, mountPoint: string, path: string, offsetBytes: number): boolean {
  if (map.kind === MAP_KINDS['dax-node']) return path === map.path
  if (map.kind === MAP_KINDS.devmem) {
    const start = map.offsetBytes ?? 0
    return path === map.path && offsetBytes >= start && offsetBytes < start + map.sizeBytes
  }
  return path === join(mountPoint, file)
}
