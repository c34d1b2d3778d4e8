/** The one-line view of every pool of this host: mounted, parked, or lost with its record left behind. */
import { statfsSync } from 'node:fs'
import type { PoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { isMountedHere } from './find-holder.ts'
import { knownPools } from './known-pools.ts'

export interface PoolSummary {
  readonly pool: string
  /**
   * 'unreadable': its record is of another version; 'unserved': mounted, but no server answers just now;
   * 'lost': its processes have died, and its memory with them.
   */
  readonly state: 'mounted' | 'parked' | 'unserved' | 'lost' | 'unreadable'
  readonly mountPoint: string | null
  readonly sizeBytes: number
  /** null where statfs(2) of the mount could hang, or there is no mount. */
  readonly freeBytes: number | null
  readonly keeperPid: number | null
  readonly serverPid: number | null
}

export function summarisePools(): PoolSummary[] {
  const { records, unreadable } = knownPools()
  return [...records.map(summarise), ...unreadable.map(summariseUnreadable)]
}

const summariseUnreadable = (pool: string): PoolSummary => ({
  pool,
  state: 'unreadable',
  mountPoint: null,
  sizeBytes: 0,
  freeBytes: null,
  keeperPid: null,
  serverPid: null,
})

function summarise(record: PoolRecord): PoolSummary {
  const { pool, mountPoint, sizeBytes, keeper, server } = record
  const hasKeeper = isAlive(keeper)
  const serverPid = server !== null && isAlive(server) ? server.pid : null
  const isHere = isMountedHere(record)
  return {
    pool,
    state: stateOf(record, { hasKeeper, hasServer: serverPid !== null, isHere }),
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
): PoolSummary['state'] {
  if (!hasKeeper && !hasServer) return 'lost'
  if (record.state === 'parked') return hasKeeper ? 'parked' : 'lost'
  if (!hasServer) return 'unserved'
  // Unmounted without a keeper, the server holds the memory.
  return hasKeeper || isHere ? 'mounted' : 'parked'
}

function freeBytes(mountPoint: string): number | null {
  try {
    const figures = statfsSync(mountPoint)
    return figures.bsize * figures.bfree
  } catch {
    return null
  }
}
