/**
 * The present holder of a pool: none, a parked keeper, a server whose keeper died, or the service manager.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PreviousHolder } from '../keeper/contact.ts'
import type { StoredPool } from '../keeper/fdstore/restored.ts'
import { fuseMountOf, mountTable } from '../linux/mounts.ts'
import type { PoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { UsageError } from '../values/errors.ts'
import { knownRecord, strayHolders } from './known-pools.ts'
import { type Lost, remainsOf } from './remains.ts'
import {
  hasNoConnection,
  type ImageHolder,
  imagesHeldBy,
  NO_PROCESS,
  recordOf,
  searchHolders,
} from './search-holders.ts'
import { checkSeen } from './unseen-processes.ts'

export interface PoolHolder extends PreviousHolder {
  readonly record: PoolRecord
}

/** How long the keeper may take to notice an unmount: many times what it takes. */
const SETTLE_MS = 3000

/**
 * The process that holds the pool's memory. `stored`: what the service manager has of it, which counts where
 * no keeper and no server holds it. 'lost': no process has it any more. `isNew`: the caller makes a new pool
 * where there is no keeper and no server. Errors: UsageError when the pool is mounted already, when it is
 * unmounted and still in use, when another process holds its memory, and when one may that cannot be seen.
 */
export async function findHolder(
  pool: string,
  stored: StoredPool | undefined,
  { isNew }: { isNew: boolean },
  searchAll: typeof searchHolders = searchHolders,
): Promise<PoolHolder | { readonly lost: Lost } | undefined> {
  // Each search reads the descriptors of every process, so the result of the last one is kept.
  let holders: ImageHolder[] | undefined
  const search = (): ImageHolder[] => {
    holders = searchAll()
    return holders
  }
  const record = await settledRecord(pool, search)
  if (record !== undefined && isAlive(record.keeper)) {
    if (record.state === 'parked' || record.isGivenOver === true)
      return { role: 'keeper', process: record.keeper, record }
    const place = record.mountPoint ?? 'a place that is not seen from here'
    throw new UsageError(
      isMountedFor(record)
        ? `pool '${pool}' is mounted on ${place} already: give another source name for a second pool`
        : `pool '${pool}' was unmounted from ${place} and is still in use: ${forceAdvice(pool)}, then mount it again`,
    )
  }
  if (record !== undefined && record.server !== null && isAlive(record.server))
    return { role: 'server', process: record.server, record }
  const found = stored && (record ?? storedRecord(pool))
  if (stored !== undefined && found !== undefined) {
    stored.becomeHolder()
    if (!isMountedHere(found)) stored.closeConnection()
    return { role: 'store', process: stored.process, record: found }
  }
  const lost = record ?? remainsOf(pool)
  if (lost !== undefined) checkSeen(lost)
  if (!isNew) checkUnheld(pool, lost, holders ?? search())
  return lost && { lost }
}

/** The mount of a pool that no process serves any more, which answers ENOTCONN. */
export const deadMount = (lost: Lost): string | undefined =>
  isMountedHere(lost) ? (lost.mountPoint ?? undefined) : undefined

/**
 * A record for what the service manager passed to this process, where there is none. undefined: it has no
 * image of `pool`.
 */
export function storedRecord(pool: string): PoolRecord | undefined {
  const own = imagesHeldBy(process.pid).find((each) => each.pool === pool)
  if (own === undefined) return undefined
  const record = recordOf(pool, own, { keeper: NO_PROCESS, server: null })
  const isMounted = record.mountPoint !== null
  return { ...record, state: isMounted ? 'mounted' : 'parked' }
}

/** Throws UsageError where a process that is neither its keeper nor its server holds the pool's memory. */
function checkUnheld(pool: string, lost: Lost | undefined, holders: readonly ImageHolder[]): void {
  const [holder] = strayHolders(pool, lost, holders)
  if (holder === undefined) return
  const { pid } = holder.process
  const advice =
    pid === 1
      ? `the service manager has it in its store: 'systemctl start guestmemfs@${pool}.service' brings it back, 'systemctl clean --what=fdstore guestmemfs@${pool}.service' discards it`
      : `end it if nothing in the pool is needed any more`
  throw new UsageError(
    `the memory of pool '${pool}' is held by process ${pid} (${holder.program}), without a keeper or a server: ${advice}; '-o new' makes a new pool beside it`,
  )
}

/**
 * The advice for a pool that `umount -l` took out of the mount table: how it can be mounted again. Guests'
 * memory is mapped straight from the memfd or the device, which the keeper still holds: only access by the
 * former mount's files ends.
 */
export const forceAdvice = (pool: string): string =>
  `'guestmemfs umount --force ${pool}' ends its connection (open files answer ENOTCONN, guests keep their memory and run on)`

/**
 * Right after an unmount the keeper has not noticed it yet: this waits for it, so that a pool can be mounted
 * again at once.
 */
async function settledRecord(pool: string, search: () => ImageHolder[]): Promise<PoolRecord | undefined> {
  const deadline = performance.now() + SETTLE_MS
  for (;;) {
    const record = knownRecord(pool, search)
    const isSettling = record?.state === 'mounted' && isAlive(record.keeper) && !isMountedFor(record)
    if (!isSettling) return record
    if (performance.now() > deadline)
      return hasNoConnection(record) ? { ...record, state: 'parked', mountPoint: null } : record
    await sleep(10)
  }
}

/** Whether the pool is mounted in this process's mount namespace. */
export const isMountedHere = (record: Pick<PoolRecord, 'pool' | 'mountPoint'>): boolean =>
  fuseMountOf(record) !== undefined

/** Whether the pool is mounted where its keeper is, which may be another mount namespace. */
export function isMountedFor(record: Pick<PoolRecord, 'pool' | 'keeper' | 'mountPoint'>): boolean {
  try {
    return fuseMountOf(record, mountTable(record.keeper.pid)) !== undefined
  } catch {
    return false // It ended meanwhile, which the next search shows.
  }
}
