/**
 * A mount's guest RAM: each file with its memory nodes, and the processes that map it, with the size of their
 * pages.
 */
import { join } from 'node:path'
import * as v from 'valibot'
import { nodeIds } from '../linux/memory-nodes.ts'
import { addNodeBytes } from '../linux/page-nodes.ts'
import { fileMappings } from '../linux/page-sizes.ts'
import type { DeepReadonly } from '../values/deep-readonly.ts'
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
    nodes: v.optional(v.array(v.number())),
  }),
})
type Listed = v.InferOutput<typeof Listed>

const MapperSchema = v.object({
  pid: v.number(),
  program: v.string(),
  kernelPageBytes: v.pipe(v.number(), v.description('The pages that the kernel maps it by.')),
  pmdMappedBytes: v.pipe(v.number(), v.description('What of it whole entries of 2 MiB map.')),
  nodeBytes: v.exactOptional(
    v.pipe(
      v.array(v.object({ node: v.number(), bytes: v.number() })),
      v.description('Of memfds, on a host with several memory nodes: what the process has touched.'),
    ),
  ),
})
export type RamMapper = DeepReadonly<v.InferOutput<typeof MapperSchema>>

export const RamFileSchema = v.object({
  file: v.pipe(v.string(), v.description('Below the mount point.')),
  sizeBytes: v.number(),
  extents: v.pipe(v.number(), v.description('How many it has.')),
  alignBytes: v.pipe(v.number(), v.description('The largest pages that it was placed for.')),
  nodes: v.pipe(
    v.nullable(v.array(v.number())),
    v.description(
      'Memory nodes that it lies in, ascending; of a memfd those of the pages that processes have mapped. null: not known.',
    ),
  ),
  mappings: v.array(MapperSchema),
})
export type ListedRamFile = DeepReadonly<v.InferOutput<typeof RamFileSchema>>

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
  const ids = nodeIds()
  const isOfHost = ({ map: { kind } }: Listed): boolean => kind === MAP_KINDS.passthrough
  const found = fileMappings(
    (path, offsetBytes) => listed.some((each) => isOf(each, mountPoint, path, offsetBytes)),
    { hasNodes: ids.length > 1 && listed.some(isOfHost) },
  )
  return listed.map((each) => {
    const mappings = found
      .filter(({ path, offsetBytes }) => isOf(each, mountPoint, path, offsetBytes))
      .map(({ pid, program, kernelPageBytes, pmdMappedBytes, nodeBytes }) => ({
        pid,
        program,
        kernelPageBytes,
        pmdMappedBytes,
        ...(isOfHost(each) && nodeBytes && { nodeBytes }),
      }))
    return {
      file: each.file,
      sizeBytes: each.map.sizeBytes,
      extents: each.extents,
      alignBytes: each.map.alignBytes,
      nodes: each.map.nodes ?? nodesOfHost(ids, mappings),
      mappings,
    }
  })
}

/** Of a file without nodes of its own. `ids`: the nodes of this host. */
export function nodesOfHost(
  ids: readonly number[],
  mappings: readonly Pick<RamMapper, 'nodeBytes'>[],
): readonly number[] | null {
  if (ids.length === 1) return ids
  const seen = addNodeBytes(mappings.map(({ nodeBytes = [] }) => nodeBytes)).map(({ node }) => node)
  return seen.length === 0 ? null : seen
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
