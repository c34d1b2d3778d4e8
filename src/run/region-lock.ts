/**
 * One pool at a time for a region: the processes that serve or format it hold its lock until the last of them
 * has ended.
 */
import { join } from 'node:path'
import type { Fd } from '../values/ids.ts'
import { ensureFolder, REGIONS } from './paths.ts'
import { takeLock } from './take-lock.ts'

interface LockedRegion {
  readonly name: string
  /** The region driver's name for the lock, unique for its memory. */
  readonly lockName: string
}

export const regionLockPath = ({ lockName }: LockedRegion): string => join(REGIONS, `${lockName}.lock`)

/**
 * The kernel releases it when the last copy of the descriptor is closed. Errors: UsageError when another
 * process has it.
 */
export function lockRegion(region: LockedRegion): Fd {
  ensureFolder(REGIONS)
  const inUse = `region ${region.name} is in use by another pool: see 'guestmemfs list'`
  return takeLock(regionLockPath(region), inUse)
}
