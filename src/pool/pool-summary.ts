/** The one-line view of every pool of this host: mounted, parked, or without processes of its own. */
import { statfsSync } from 'node:fs'
import * as v from 'valibot'
import type { PoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { isMountedHere } from './find-holder.ts'
import { knownPools, strayHolders } from './known-pools.ts'
import { poolMounts } from './pool-view.ts'
import { type Lost, remainsOf } from './remains.ts'
import type { ImageHolder } from './search-holders.ts'
import { whyUnseen } from './unseen-processes.ts'

export const PoolSummarySchema = v.object({
  pool: v.string(),
  /**
   * 'unserved': mounted, but no server answers just now; 'held': keeper and server have died, and another
   * process has its memory, such as the service manager; 'lost': they have died, and its memory with them, as
   * far as its record shows; 'unseen': whether a process has its memory cannot be seen from here;
   * 'unreadable': as 'lost', of a pool whose record cannot be read.
   */
  state: v.picklist(['mounted', 'parked', 'unserved', 'held', 'lost', 'unseen', 'unreadable']),
  mountPoint: v.nullable(v.string()),
  sizeBytes: v.number(),
  freeBytes: v.pipe(v.nullable(v.number()), v.description('null: no server answers, or it is not mounted.')),
  keeperPid: v.nullable(v.number()),
  serverPid: v.nullable(v.number()),
})
export type PoolSummary = Readonly<v.InferOutput<typeof PoolSummarySchema>>

export function summarisePools(): PoolSummary[] {
  const { records, unreadable, holders } = knownPools()
  const named = new Set([...records.map(({ pool }) => pool), ...unreadable])
  const seen = [...holders, ...poolMounts()].flatMap(({ pool }) => pool ?? [])
  const others = [...new Set(seen)].filter((pool) => !named.has(pool))
  return [
    ...records.map((record) => summarise(record, holders)),
    ...unreadable.map((pool) => summariseRemains(pool, 'unreadable', holders)),
    ...others.map((pool) => summariseRemains(pool, 'lost', holders)),
  ]
}

/** A pool whose record is missing or cannot be read. */
function summariseRemains(
  pool: string,
  otherwise: 'unreadable' | 'lost',
  holders: readonly ImageHolder[],
): PoolSummary {
  const remains: Lost = remainsOf(pool) ?? { pool, mountPoint: null, source: undefined }
  const state = stateWithoutProcesses(remains, holders)
  return {
    pool,
    state: state === 'lost' ? otherwise : state,
    mountPoint: remains.mountPoint,
    sizeBytes: sizeHeld(pool, holders),
    freeBytes: null,
    keeperPid: null,
    serverPid: null,
  }
}

const sizeHeld = (pool: string, holders: readonly ImageHolder[]): number =>
  (holders.find((holder) => holder.pool === pool)?.totalBlocks ?? 0) * BLOCK_BYTES

function summarise(record: PoolRecord, holders: readonly ImageHolder[]): PoolSummary {
  const { pool, mountPoint, sizeBytes, keeper, server } = record
  const hasKeeper = isAlive(keeper)
  const serverPid = server !== null && isAlive(server) ? server.pid : null
  const isHere = isMountedHere(record)
  return {
    pool,
    state: stateOf(record, { hasKeeper, hasServer: serverPid !== null, isHere }, holders),
    mountPoint,
    sizeBytes,
    freeBytes: serverPid !== null && mountPoint !== null && isHere ? freeBytes(mountPoint) : null,
    keeperPid: hasKeeper ? keeper.pid : null,
    serverPid,
  }
}

function stateOf(
  record: PoolRecord,
  { hasKeeper, hasServer, isHere }: { hasKeeper: boolean; hasServer: boolean; isHere: boolean },
  holders: readonly ImageHolder[],
): PoolSummary['state'] {
  if (!hasKeeper && !hasServer) return stateWithoutProcesses(record, holders)
  if (record.state === 'parked') return hasKeeper ? 'parked' : 'lost'
  if (!hasServer) return 'unserved'
  // Unmounted without a keeper, the server holds the memory.
  return hasKeeper || isHere ? 'mounted' : 'parked'
}

/** Of a pool that has neither a keeper nor a server which is seen. */
function stateWithoutProcesses(lost: Lost, holders: readonly ImageHolder[]): PoolSummary['state'] {
  // The kernel does not show other users which process holds what, either.
  if (whyUnseen(lost) !== undefined) return 'unseen'
  // Its memory has outlived its processes, and `mount` finds it.
  if (lost.source !== undefined && isInRegion(lost.source)) return isMountedHere(lost) ? 'unserved' : 'parked'
  return strayHolders(lost.pool, lost, holders).length > 0 ? 'held' : 'lost'
}

function freeBytes(mountPoint: string): number | null {
  try {
    const figures = statfsSync(mountPoint)
    return figures.bsize * figures.bfree
  } catch {
    return null
  }
}
