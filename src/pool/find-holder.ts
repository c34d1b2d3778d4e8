/**
 * The present holder of a pool: none, a parked keeper, a server whose keeper died, or the service manager.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { StoredPool } from '../keeper/fdstore/restored.ts'
import type { PreviousHolder } from '../keeper/takeover/holder-process.ts'
import { FUSE_TYPE, mountTable, unmount } from '../linux/mount.ts'
import { type PoolRecord, readPoolRecord, removePoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { UsageError } from '../values/errors.ts'

export interface PoolHolder extends PreviousHolder {
  readonly record: PoolRecord
}

/** How long an unmount may take to reach its keeper: many times what it takes. */
const SETTLE_MS = 3000

/**
 * Who holds the pool's memory. `stored`: what the service manager has of it, which counts where nobody else
 * has. 'lost': it was held by processes that have died, and what they left behind is taken away. Errors:
 * UsageError when the pool is mounted already, or unmounted and still in use.
 */
export async function findHolder(
  pool: string,
  stored: StoredPool | undefined,
): Promise<PoolHolder | 'lost' | undefined> {
  const record = await settledRecord(pool)
  if (record === undefined) return undefined
  if (isAlive(record.keeper)) {
    if (record.state === 'parked') return { role: 'keeper', process: record.keeper, record }
    throw new UsageError(
      isMountedFor(record)
        ? `pool '${pool}' is mounted on ${record.mountPoint} already: give another source name for a second pool`
        : `pool '${pool}' was unmounted from ${record.mountPoint} and is still in use: ${cutOff(pool)}, then mount it again`,
    )
  }
  if (record.server !== null && isAlive(record.server))
    return { role: 'server', process: record.server, record }
  if (stored !== undefined) {
    stored.claim()
    if (!isMountedHere(record)) stored.forgetConnection()
    return { role: 'store', process: stored.process, record }
  }
  removePoolRecord(pool)
  if (isMountedHere(record) && record.mountPoint !== null) unmount(record.mountPoint, { lazy: true })
  return record.source.kind === 'memfd' ? 'lost' : undefined
}

/**
 * What brings back a pool that `umount -l` took out of the mount table. Guests' memory is mapped straight
 * from the memfd or the device, which the keeper goes on holding: only the way by the former mount's files
 * ends.
 */
export const cutOff = (pool: string): string =>
  `'guestmemfs umount --force ${pool}' cuts off what has its files open or mapped, and guests keep their memory and run on`

/** Right after an unmount the keeper does not know of it yet: whoever mounts again at once need not care. */
async function settledRecord(pool: string): Promise<PoolRecord | undefined> {
  const deadline = performance.now() + SETTLE_MS
  for (;;) {
    const record = readPoolRecord(pool)
    const isSettling = record?.state === 'mounted' && isAlive(record.keeper) && !isMountedFor(record)
    if (!isSettling || performance.now() > deadline) return record
    await sleep(10)
  }
}

const showsIn = (table: ReturnType<typeof mountTable>, { pool, mountPoint }: PoolRecord): boolean =>
  table.some((mount) => mount.type === FUSE_TYPE && mount.source === pool && mount.target === mountPoint)

/** Whether the pool is mounted where we are. */
export const isMountedHere = (record: PoolRecord): boolean => showsIn(mountTable(), record)

/** Whether the pool is mounted where its keeper is, which may be another mount namespace. */
export function isMountedFor(record: PoolRecord): boolean {
  try {
    return showsIn(mountTable(record.keeper.pid), record)
  } catch {
    return false // It ended while we looked, which the next look says.
  }
}
