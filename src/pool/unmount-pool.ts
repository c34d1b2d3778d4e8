/**
 * The unmount of a pool and, with `discard`, the end of its memory: this process kills keeper and server,
 * which hold the last descriptors, so that the kernel frees every page that is not mapped.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { findAreas } from '../keeper/takeover/held-areas.ts'
import { close, hasHungUp } from '../linux/descriptors.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { abortFuseConnection, fuseMountOf, unmount } from '../linux/mounts.ts'
import { pidfdGetFd, pidfdOpen, sendSignal, waitExit } from '../linux/process.ts'
import { lockDiscard } from '../run/discard-lock.ts'
import { checkWritable, POOLS } from '../run/paths.ts'
import { logPath, type PoolRecord, removePoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { EACCES, EBADF, EBUSY, EINVAL, ENOENT, ENOTDIR, EPERM, Errno, ESRCH } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { forceAdvice, isMountedFor } from './find-holder.ts'
import { hasUnit } from './has-unit.ts'
import { findKnownPool, isHeld, knownRecord, strayHolders, writtenRecord } from './known-pools.ts'
import { type Lost, type Remains, remainsAt, remainsOf } from './remains.ts'
import { resetRefusals } from './retry-pause.ts'
import { hasNoConnection, type ImageHolder, NO_PROCESS, searchHolders } from './search-holders.ts'
import { cleanStored } from './systemd-unit.ts'
import { checkOwnProc, checkSeen } from './unseen-processes.ts'

/**
 * 'ended': it held nothing. 'in region': no process holds it any more, and its memory is where it was.
 * 'lost': the processes that held it had died before, and its memory with them. 'cleared': they had died, and
 * where its memory was is not known.
 */
export const UNMOUNTED = ['parked', 'discarded', 'ended', 'lost', 'in region', 'cleared'] as const
export type Unmounted = (typeof UNMOUNTED)[number]

const KEEPER_TIMEOUT_MS = 15_000
/**
 * Many times what a keeper takes to write its record; where it cannot (a full /run), this process looks at
 * the keeper's descriptors.
 */
const RECORD_MS = 1000

export interface UnmountOptions {
  readonly discard: boolean
  /** Ends the connection, also while processes have files open or mapped. */
  readonly force: boolean
}

/** `named`: a mount point or a pool. Errors: UsageError, with the pool still mounted. */
export async function unmountPool(named: string, options: UnmountOptions): Promise<Unmounted> {
  checkOwnProc()
  const { discard, force } = options
  const record = findKnownPool(named)
  if (record === undefined) return await clearRemains(findRemains(named), options)
  const isLost = !isHeld(record)
  if (isLost) checkMayClear(record)
  if (!discard) checkKept(record, isLost)
  // A keeper that has nothing to hold removes its record and ends: the search must not find it while it does.
  const written = writtenRecord(record.pool)
  const read = written !== undefined && isHeld(written) ? writtenRecord : knownRecord
  // Before this ends a process: the lock below needs a file in /run.
  if ((discard || isLost) && process.getuid?.() === 0) checkWritable(POOLS)
  if (record.state === 'mounted' && record.mountPoint !== null) {
    if (force && isAlive(record.keeper)) abortConnection(record)
    else unmountFrom(record, record.mountPoint)
  }
  const settled = await waitSettled(record.pool, read)
  if (settled === undefined) return isInRegion(record.source) ? 'in region' : 'ended'
  // Another mount may have made the pool anew meanwhile: then the new one is held, and not lost.
  if (!discard && (!isLost || isHeld(settled))) return 'parked'
  await endPool(settled.pool, settled)
  if (!isLost) return 'discarded'
  return isInRegion(settled.source) ? 'in region' : 'lost'
}

/**
 * Ends the pool's processes, and removes its record and what the service manager's store has of it.
 * `processes`: its keeper and its server.
 */
async function endPool(pool: string, processes: Pick<PoolRecord, 'keeper' | 'server'>): Promise<void> {
  // The unit starts again as soon as keeper and server are gone, and `keep` must not take over what the store
  // has.
  const release = lockDiscard(pool)
  try {
    await endHolders({ pool, ...processes })
    removePoolRecord(pool)
    resetRefusals(pool)
    if (hasUnit()) await cleanStored(pool)
  } finally {
    release()
  }
}

/** A pool of which this process finds neither a keeper, a server nor a record. Errors: UsageError. */
function findRemains(named: string): Remains {
  const isHeldElsewhere = searchHolders().some(({ pool }) => pool === named)
  const found =
    remainsOf(named) ??
    remainsAt(named) ??
    (isHeldElsewhere ? { pool: named, mountPoint: null, source: undefined } : undefined)
  if (found === undefined)
    throw new UsageError(`'${named}' is neither a pool nor a mount point of one: see 'guestmemfs list'`)
  return found
}

/** Removes what is left of a pool, and with `discard` what the service manager's store has of it. */
async function clearRemains(remains: Remains, { discard }: UnmountOptions): Promise<Unmounted> {
  const { pool, mountPoint } = remains
  checkMayClear(remains)
  checkWritable(POOLS)
  const holders = searchHolders()
  // After the search, which takes time: another mount may have made the pool anew meanwhile.
  checkUnknown(remains, holders)
  if (!discard) checkNotHeld(remains, holders)
  const noProcesses = { keeper: NO_PROCESS, server: null }
  if (mountPoint !== null) unmountFrom({ pool, mountPoint, ...noProcesses }, mountPoint)
  await endPool(pool, noProcesses)
  return 'cleared'
}

/**
 * Throws UsageError where the pool has a record after all, written or found: its mount point is a bind mount
 * of a pool that is mounted elsewhere, and the end of a bind mount proves nothing about the memory.
 */
function checkUnknown({ pool, mountPoint }: Remains, holders: ImageHolder[]): void {
  const record = knownRecord(pool, () => holders)
  if (record === undefined) return
  const place = record.mountPoint ?? 'a place that is not seen from here'
  const state = record.state === 'parked' ? 'parked' : `mounted on ${place}`
  const advice = mountPoint === null ? 'try again' : `take ${mountPoint} off with umount(8)`
  throw new UsageError(`pool '${pool}' ${isHeld(record) ? 'is' : 'was'} ${state}; ${advice}`)
}

/** Throws UsageError where this process cannot tell whether the pool is held. */
function checkMayClear(lost: Lost): void {
  // A user sees no other user's descriptors.
  if (process.getuid?.() !== 0) throw new UsageError('unmounting needs root: run it with sudo')
  checkSeen(lost)
}

/** Throws UsageError where another process holds the memory of a pool without a keeper and a server. */
function checkNotHeld(lost: Lost, holders: readonly ImageHolder[] = searchHolders()): void {
  const [holder] = strayHolders(lost.pool, lost, holders)
  if (holder === undefined) return
  throw new UsageError(
    `the keeper and the server of pool '${lost.pool}' have died, and process ${holder.process.pid} (${holder.program}) holds its memory: mount it again, or discard it with --discard`,
  )
}

/** Throws UsageError where unmounting without discarding would leave no process that holds the memory. */
function checkKept(record: PoolRecord, isLost: boolean): void {
  const { pool, mountPoint } = record
  if (isLost) {
    checkNotHeld(record)
    return
  }
  if (!isAlive(record.keeper)) {
    throw new UsageError(
      `the keeper of pool '${pool}' has died, and unmounting would lose its memory: mount it on ${mountPoint} again, so that a new one takes over, or discard it with --discard`,
    )
  }
  if (record.state === 'parked')
    throw new UsageError(`pool '${pool}' is parked, not mounted: mount it, or discard it with --discard`)
}

/**
 * Aborts the pool's connection. No memory is lost or released by it: the server finds the connection
 * unmounted, sends its keeper `unmounted`, and waits for the answer before it closes anything, as after any
 * unmount. What a process maps stays mapped, and an unlinked file that is mapped stays an orphan.
 */
function abortConnection(record: PoolRecord): void {
  const { pool, connection, keeper } = record
  const mounted = fuseMountOf(record)
  const minor = mounted?.minor ?? connection
  if (minor === undefined)
    throw new UsageError(
      `the keeper of pool '${pool}' is of a version that does not say which connection it has: write 1 into its file 'abort' below /sys/fs/fuse/connections yourself`,
    )
  if (mounted === undefined && hasEnded(keeper.pid)) return
  const failed = abortFuseConnection(minor)
  if (failed === EPERM || failed === EACCES) throw new UsageError('unmounting needs root: run it with sudo')
  if (failed) throw new UsageError(`ending connection ${minor} of pool '${pool}' failed: ${failed}`)
}

/**
 * Whether the kernel has ended the connection of this keeper, and may have given its number to another mount:
 * at the last unmount, also while the keeper has not closed its descriptor yet, or could not record that it
 * did (a full /run).
 */
function hasEnded(keeperPid: number): boolean {
  const copy = copyConnection(keeperPid)
  if (copy instanceof Errno) {
    if ([EBADF, ESRCH, ENOENT].includes(copy)) return true
    throw new UsageError(
      copy === EPERM || copy === EACCES
        ? 'unmounting needs root, CAP_SYS_PTRACE and a kernel that lets root look at processes (kernel.yama.ptrace_scope below 3)'
        : `the connection of process ${keeperPid} cannot be seen (${copy}): try again`,
    )
  }
  const isOver = hasHungUp(copy)
  close(copy)
  return isOver
}

/**
 * A copy of the keeper's connection. Errors: EBADF, ESRCH, ENOENT (it has none any more); EPERM, EMFILE, …
 */
function copyConnection(keeperPid: number): Fd | Errno {
  let fuse: Fd | undefined
  try {
    ;({ fuse } = findAreas(keeperPid))
  } catch (error) {
    return errnoOfNodeError(error)
  }
  if (fuse === undefined) return EBADF
  const pidfd = pidfdOpen(keeperPid)
  if (pidfd instanceof Errno) return pidfd
  const copy = pidfdGetFd(pidfd, fuse)
  close(pidfd)
  return copy
}

function unmountFrom(record: Pick<PoolRecord, 'pool' | 'keeper' | 'mountPoint'>, mountPoint: string): void {
  const hasKeeper = isAlive(record.keeper)
  const failed = unmount(mountPoint, { lazy: false })
  if (failed === EBUSY)
    throw new UsageError(
      `${mountPoint} is busy: end what uses it first (see 'fuser -vm ${mountPoint}'), or unmount it with --force: guests keep their memory and run on`,
    )
  // EACCES: the caller may not search a directory of the path.
  if (failed === EPERM || failed === EACCES) throw new UsageError('unmounting needs root: run it with sudo')
  if ((failed === EINVAL || failed === ENOENT) && hasKeeper) {
    throw new UsageError(
      isMountedFor(record)
        ? `${mountPoint} is not mounted here: it is mounted in another mount namespace, that of process ${record.keeper.pid}`
        : `pool '${record.pool}' was unmounted from ${mountPoint} and is still in use: ${forceAdvice(record.pool)}`,
    )
  }
  // Without a keeper no record shows that it was unmounted before, and the folder may be gone since.
  if (failed !== undefined && ![EINVAL, ENOENT, ENOTDIR].includes(failed))
    throw new UsageError(`unmounting ${mountPoint} failed: ${failed}`)
}

/**
 * Waits until the keeper has noticed the end of its connection, a moment after the unmount. undefined: the
 * keeper had nothing to hold.
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
 * Kills the keeper first, because it would start another server; and the server at once after it, because the
 * unit starts again when its keeper has ended, and would take over a server that is alive.
 */
async function endHolders({
  pool,
  keeper,
  server,
}: Pick<PoolRecord, 'pool' | 'keeper' | 'server'>): Promise<void> {
  const ending: { role: string; pid: number; pidfd: Fd }[] = []
  for (const [role, holder] of [
    ['keeper', keeper],
    ['server', server],
  ] as const) {
    const pidfd = holder === null ? undefined : pidfdOpen(holder.pid)
    // The pidfd is of the process that has the pid now; `isAlive` then compares its start time.
    if (holder === null || pidfd === undefined || pidfd instanceof Errno || !isAlive(holder)) continue
    sendSignal(pidfd, 'SIGKILL')
    ending.push({ role, pid: holder.pid, pidfd })
  }
  for (const { role, pid, pidfd } of ending)
    if (!(await waitExit(pidfd, KEEPER_TIMEOUT_MS)))
      throw new UsageError(`the ${role} of pool '${pool}' (process ${pid}) does not end`)
}
