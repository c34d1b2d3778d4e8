/**
 * The unmount of a pool and, when asked to, the end of its memory: the keeper is killed, which holds the last
 * descriptors, so that the kernel frees every page that is not mapped.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { unmount } from '../linux/mount.ts'
import { pidfdOpen, sendSignal, waitExit } from '../linux/process.ts'
import { lockDiscard } from '../run/discard-lock.ts'
import { logPath, type PoolRecord, removePoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { EACCES, EBUSY, EINVAL, ENOENT, ENOTDIR, EPERM, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { hasUnit } from './has-unit.ts'
import { findKnownPool, isHeld, knownRecord, otherHolders, writtenRecord } from './known-pools.ts'
import { hasNoConnection, searchHolders } from './search-holders.ts'
import { forgetStored } from './systemd-unit.ts'

/** 'lost': the processes that held it had died before, and its memory with them. */
export type Unmounted = 'parked' | 'discarded' | 'ended' | 'lost'

const KEEPER_TIMEOUT_MS = 15_000
/** Many times what a keeper takes to write its record; where it cannot (a full /run), the kernel is asked. */
const RECORD_MS = 1000

/** `named`: a mount point or a pool. Errors: UsageError, with the pool still mounted. */
export async function unmountPool(named: string, { discard }: { discard: boolean }): Promise<Unmounted> {
  const record = findRecord(named)
  const isLost = !isHeld(record)
  if (!discard) checkKept(record, isLost)
  // A keeper that has nothing to hold takes its record away and ends: it must not be found while it does.
  const written = writtenRecord(record.pool)
  const read = written !== undefined && isHeld(written) ? writtenRecord : knownRecord
  if (record.state === 'mounted' && record.mountPoint !== null)
    takeOff(record.mountPoint, isAlive(record.keeper))
  const settled = await waitSettled(record.pool, read)
  if (settled === undefined) return 'ended'
  if (!discard && !isLost) return 'parked'
  // The unit starts again as soon as they are gone, and must not bring back what its store has.
  const release = lockDiscard(settled.pool)
  try {
    await endHolders(settled)
    removePoolRecord(settled.pool)
    if (hasUnit()) await forgetStored(settled.pool)
  } finally {
    release()
  }
  return isLost ? 'lost' : 'discarded'
}

/** Unmounting without discarding must leave a process that holds the memory, if there is one. */
function checkKept(record: PoolRecord, isLost: boolean): void {
  const { pool, mountPoint } = record
  if (isLost) {
    const [holder] = record.source.kind === 'memfd' ? otherHolders(pool, searchHolders()) : []
    if (holder === undefined) return
    throw new UsageError(
      `the keeper and the server of pool '${pool}' have died, and process ${holder.process.pid} (${holder.program}) holds its memory: mount it again, or give the memory up with --discard`,
    )
  }
  if (!isAlive(record.keeper)) {
    throw new UsageError(
      `the keeper of pool '${pool}' has died, and unmounting would lose its memory: mount it on ${mountPoint} again, so that a new one takes over, or give the memory up with --discard`,
    )
  }
  if (record.state === 'parked')
    throw new UsageError(`pool '${pool}' is parked, not mounted: mount it, or discard it with --discard`)
}

function takeOff(mountPoint: string, hasKeeper: boolean): void {
  const failed = unmount(mountPoint, { lazy: false })
  if (failed === EBUSY)
    throw new UsageError(`${mountPoint} is busy: end what uses it first (see 'fuser -vm ${mountPoint}')`)
  // EACCES: a directory on the way to it is closed to whoever asks.
  if (failed === EPERM || failed === EACCES) throw new UsageError('unmounting needs root: run it with sudo')
  if ((failed === EINVAL || failed === ENOENT) && hasKeeper) {
    throw new UsageError(
      `${mountPoint} is not mounted here: it is used in another mount namespace, or by files that were open when it was unmounted`,
    )
  }
  // Without a keeper no record says that it was unmounted before, and the folder may be gone since.
  if (failed !== undefined && ![EINVAL, ENOENT, ENOTDIR].includes(failed))
    throw new UsageError(`unmounting ${mountPoint} failed: ${failed}`)
}

function findRecord(named: string): PoolRecord {
  const found = findKnownPool(named)
  if (found === undefined)
    throw new UsageError(`'${named}' is neither a pool nor a mount point of one: see 'guestmemfs list'`)
  return found
}

/**
 * The keeper learns of the unmount from the end of its connection, a moment later. undefined: nothing was
 * left to hold.
 */
async function waitSettled(
  pool: string,
  read: (pool: string) => PoolRecord | undefined,
): Promise<PoolRecord | undefined> {
  const start = performance.now()
  const deadline = start + KEEPER_TIMEOUT_MS
  for (;;) {
    const record = read(pool)
    if (record === undefined || record.state === 'parked' || !isAlive(record.keeper)) return record
    if (performance.now() > start + RECORD_MS && hasNoConnection(record)) return record
    if (performance.now() > deadline)
      throw new UsageError(`the keeper of pool '${pool}' does not react: see ${logPath(pool)}`)
    await sleep(10)
  }
}

/**
 * A keeper first: it would start another server. The server at once after it: the unit starts again when its
 * keeper has ended, and would take over a server that lives.
 */
async function endHolders({ pool, keeper, server }: PoolRecord): Promise<void> {
  const ending: { role: string; pid: number; pidfd: Fd }[] = []
  for (const [role, holder] of [
    ['keeper', keeper],
    ['server', server],
  ] as const) {
    const pidfd = holder === null ? undefined : pidfdOpen(holder.pid)
    // The pidfd is of the process that has the pid now, and only that one is asked after its start.
    if (holder === null || pidfd === undefined || pidfd instanceof Errno || !isAlive(holder)) continue
    sendSignal(pidfd, 'SIGKILL')
    ending.push({ role, pid: holder.pid, pidfd })
  }
  for (const { role, pid, pidfd } of ending)
    if (!(await waitExit(pidfd, KEEPER_TIMEOUT_MS)))
      throw new UsageError(`the ${role} of pool '${pool}' (process ${pid}) does not end`)
}
