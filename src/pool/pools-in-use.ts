/**
 * The refusal to remove the program while pools need it: a pool that is mounted has a server, and one that is
 * parked has a keeper. A pool in a region that is not mounted needs neither.
 */
import { UsageError } from '../values/errors.ts'
import { type PoolSummary, summarisePools } from './pool-summary.ts'
import { type PoolMount, poolMounts } from './pool-view.ts'

/** Each pool as one line names it. One that is lost is in use only where it still has a mount. */
export function poolsInUse(pools: readonly PoolSummary[], mounts: readonly PoolMount[]): string[] {
  return pools.flatMap(({ pool, state }) => {
    const mount = mounts.find((each) => each.pool === pool)
    if (mount !== undefined) return [`${pool} (mounted on ${mount.mountPoint})`]
    return state === 'lost' || state === 'unreadable' ? [] : [`${pool} (${state})`]
  })
}

/** Throws UsageError with the pools that are in use, and what to do. */
export function checkNoPoolInUse(): void {
  const inUse = poolsInUse(summarisePools(), poolMounts())
  if (inUse.length === 0) return
  throw new UsageError(
    `pools are in use: ${inUse.join(', ')}: end their guests and unmount them first; 'guestmemfs umount --discard POOL' frees what a parked one holds`,
  )
}
