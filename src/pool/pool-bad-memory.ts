/**
 * Where memory of mounted pools has failed, as their servers list it. Must not: read a mount that no server
 * serves.
 */
import * as v from 'valibot'
import { BLOCK_BYTES } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { type Finding, warn } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'
import { type PoolSummary, summarisePools } from './pool-summary.ts'
import { readVirtual, readVirtualList } from './pool-view.ts'

const Health = v.object({ badBlocks: v.number(), badBlocksInFiles: v.optional(v.number(), 0) })

export const BadMemorySchema = v.object({
  poolOffsetBytes: v.number(),
  lengthBytes: v.number(),
  startByte: v.exactOptional(v.pipe(v.number(), v.description('Its physical address.'))),
  ino: v.exactOptional(v.pipe(v.number(), v.description('Of the file that has it, where one does.'))),
  fileOffsetBytes: v.exactOptional(v.number()),
  file: v.exactOptional(v.pipe(v.string(), v.description('Below the mount point; missing: it has no name.'))),
})
export type BadMemoryRow = Readonly<v.InferOutput<typeof BadMemorySchema>>

type Served = Pick<PoolSummary, 'mountPoint' | 'freeBytes'>

/** `freeBytes` is known only where a server answers. */
const servedMount = ({ mountPoint, freeBytes }: Served): string | undefined =>
  freeBytes === null ? undefined : (mountPoint ?? undefined)

/** How much of the pool is bad, in files or not. null: no server says so now. */
export function badBytesOf(pool: Served): number | null {
  const health = ask(pool, (mountPoint) => v.safeParse(Health, readVirtual(mountPoint, 'health')))
  if (!health?.success) return null
  return (health.output.badBlocks + health.output.badBlocksInFiles) * BLOCK_BYTES
}

/** Where that is. null: only root may know, or no server answers. A server of a former version lists none. */
export const badMemoryOf = (pool: Served): readonly BadMemoryRow[] | null =>
  ask(pool, (mountPoint) => readVirtualList(mountPoint, 'bad').map((row) => v.parse(BadMemorySchema, row))) ??
  null

function ask<T>(pool: Served, question: (mountPoint: string) => T): T | undefined {
  const mountPoint = servedMount(pool)
  try {
    return mountPoint === undefined ? undefined : question(mountPoint)
  } catch (error) {
    if (error instanceof UsageError) return undefined
    throw error
  }
}

/** How much of each file is bad, by its path below the mount point. */
export function badBytesByFile(rows: readonly BadMemoryRow[]): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>()
  for (const { file, lengthBytes } of rows)
    if (file !== undefined) bytes.set(file, (bytes.get(file) ?? 0) + lengthBytes)
  return bytes
}

/** One row in words: its address, and which part of which file it is. */
export function badRowInWords(row: BadMemoryRow): string {
  const { startByte, poolOffsetBytes, lengthBytes, ino, file, fileOffsetBytes = 0 } = row
  const at =
    startByte === undefined ? `pool offset ${formatSize(poolOffsetBytes)}` : `0x${startByte.toString(16)}`
  const whose =
    ino === undefined ? 'not used' : `${file ?? 'a deleted file'} from ${formatSize(fileOffsetBytes)} on`
  return `${at}+${formatSize(lengthBytes)} (${whose})`
}

/** A finding for each pool with bad memory. */
export function checkBadMemory(): Finding[] {
  return summarisePools().flatMap((pool) => {
    const bytes = badBytesOf(pool) ?? 0
    return bytes === 0 ? [] : [judgeBadMemory(`bad memory of pool ${pool.pool}`, bytes, badMemoryOf(pool))]
  })
}

/** `rows`: null where they are not known. */
export function judgeBadMemory(
  subject: string,
  bytes: number,
  rows: readonly BadMemoryRow[] | null,
): Finding {
  const files = [...badBytesByFile(rows ?? []).keys()]
  const whose = files.length === 0 ? '' : `; parts of ${files.join(', ')} are on it`
  const advice =
    files.length === 0
      ? 'have the memory replaced'
      : 'delete these files when their guests can be shut down or moved, and have the memory replaced'
  return warn(subject, `${formatSize(bytes)} of memory is bad, and goes to no file any more${whose}`, advice)
}
