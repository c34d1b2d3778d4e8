/**
 * The work of the process that the unit `guestmemfs@POOL.service` starts: it mounts what `guestmemfs mount`
 * requested of the unit. After a keeper died it starts another one in the unit's cgroup, which takes over
 * from the server that is still alive or from the service manager's store.
 */
import { type StoredPool, storedNames, takeStored } from '../keeper/fdstore/restored.ts'
import { isBeingDiscarded } from '../run/discard-lock.ts'
import type { PoolRecord } from '../run/pool-record.ts'
import { isAlive } from '../run/process-identity.ts'
import { UsageError } from '../values/errors.ts'
import { storedRecord } from './find-holder.ts'
import { knownRecord } from './known-pools.ts'
import { type Mounted, type MountRequest, mountPool, parkAgain } from './mount-pool.ts'
import { pauseAfterRefusal, resetRefusals } from './retry-pause.ts'
import { endUnit, hasRequest, storedCount, takeRequest, writeAnswer, writePidFile } from './systemd-unit.ts'

async function mountRequested(request: MountRequest, stored: StoredPool | undefined): Promise<Mounted> {
  try {
    const mounted = await mountPool(request, stored)
    writeAnswer(request.pool, { ok: true, mounted })
    return mounted
  } catch (error) {
    if (error instanceof UsageError) writeAnswer(request.pool, { ok: false, reason: error.message })
    throw error
  }
}

/** The pool of a keeper that died: its server holds it, or, where that died as well, the service manager. */
function orphan(
  pool: string,
  stored: StoredPool | undefined,
): { record: PoolRecord; hasServer: boolean } | undefined {
  const record = knownRecord(pool) ?? (stored && storedRecord(pool))
  if (record === undefined || isAlive(record.keeper)) return undefined
  // A server that holds an unmounted pool keeps it until the next mount.
  const hasServer = record.mountPoint !== null && record.server !== null && isAlive(record.server)
  return { record, hasServer }
}

function hasKeeper(pool: string): boolean {
  const record = knownRecord(pool)
  return record !== undefined && isAlive(record.keeper)
}

/**
 * Whether the unit of this pool has something to do. It must start also for what the store has without a
 * record: systemd empties a store that the next start does not take (FileDescriptorStorePreserve= is new in
 * systemd 254).
 */
export function hasWork(pool: string): boolean {
  if (hasRequest(pool)) return true
  if (isBeingDiscarded(pool)) return false
  if (hasKeeper(pool)) return false
  return orphan(pool, undefined)?.hasServer === true || storedCount(pool) > 0
}

/**
 * Nothing is left to take over; or what is left is no pool. The latter is what systemd 261 and newer
 * preserves across a kexec by itself: memory without the names by which it is found, and without the
 * connection. The keeper retrieves a pool that was handed over from its own sessions, whatever the store has.
 */
function whyNothing(pool: string, stored: readonly string[]): string {
  const nothing = 'no command has asked to mount it, and nothing is left without a keeper'
  if (stored.length === 0) return nothing
  return `${nothing}: what the service manager has in its store (${stored.length} descriptors) is no pool; discard it with 'systemctl clean --what=fdstore guestmemfs@${pool}.service'`
}

/** Takes over what is left without a keeper. False: nothing is. Errors: UsageError. */
async function takeOverLeft(pool: string, stored: StoredPool | undefined): Promise<boolean> {
  const left = orphan(pool, stored)
  if (left === undefined || !(left.hasServer || stored)) return false
  const { mountPoint } = left.record
  if (mountPoint !== null) await mountPool({ pool, mountPoint, options: [] }, stored)
  else if (stored !== undefined) await parkAgain(left.record, stored)
  return true
}

/**
 * 'kept': there is no request, and the pool has its keeper, as where the operator reloads the unit.
 * 'refused': the reason is reported, and the pause is over after which the unit may be started again.
 */
async function work(
  pool: string,
  stored: StoredPool | undefined,
  report: (line: string) => void,
): Promise<'done' | 'kept' | 'nothing' | 'refused'> {
  const asked = takeRequest(pool)
  if (asked !== undefined) {
    await mountRequested(asked, stored)
    return 'done'
  }
  try {
    if (await takeOverLeft(pool, stored)) return 'done'
    return hasKeeper(pool) ? 'kept' : 'nothing'
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    // This reports before it pauses, so that the operator finds the reason at once.
    report(error.message)
  }
  await pauseAfterRefusal(pool)
  const late = takeRequest(pool)
  if (late === undefined) return 'refused'
  await mountRequested(late, stored)
  return 'done'
}

/**
 * Called before this process opens any descriptor: the service manager has passed it what its store has.
 * `report`: one line for the journal. False: there is nothing to keep, or it cannot be. Errors: UsageError.
 */
export async function keepPool(pool: string, report: (line: string) => void): Promise<boolean> {
  const stored = takeStored(process.env)
  const outcome = await work(pool, stored, report)
  if (outcome === 'nothing') {
    // This reports first, because systemd signals this process when it stops the unit.
    report(`pool '${pool}': ${whyNothing(pool, storedNames(process.env))}`)
    endUnit(pool)
  }
  if (outcome === 'nothing' || outcome === 'refused') return false
  if (outcome === 'kept')
    report(`pool '${pool}': no command has asked to mount it, and it has its keeper: nothing was done`)
  resetRefusals(pool)
  const keeper = knownRecord(pool)?.keeper
  if (keeper !== undefined && isAlive(keeper)) writePidFile(pool, keeper.pid)
  return true
}
