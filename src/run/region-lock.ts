/**
 * One pool at a time for a region: the processes that serve or format it hold its locks until the last of
 * them has ended. The kernel's lock on the range decides (linux/range-lock.ts). Former versions lock the file
 * below /run instead, which a command can remove: it is locked as well, so that a former version and this one
 * never have a region at once.
 */
import { join } from 'node:path'
import { close } from '../linux/descriptors.ts'
import type { PhysicalRange } from '../linux/memory-ranges.ts'
import { lockRange } from '../linux/range-lock.ts'
import { EACCES, EAGAIN, EPERM, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { REGIONS } from './paths.ts'
import { takeLockIfRoom } from './take-lock.ts'

export interface LockedRegion {
  readonly name: string
  /** The region driver's name for the lock, unique for its memory. */
  readonly lockName: string
  /** The physical range of its memory. */
  readonly lockRange: PhysicalRange
}

export const regionLockPath = ({ lockName }: LockedRegion): string => join(REGIONS, `${lockName}.lock`)

const inUse = ({ name }: LockedRegion): string =>
  `region ${name} is in use by another pool: see 'guestmemfs list'`

/**
 * Both locks; the kernel releases each when the last copy of its descriptor is closed. Errors: UsageError
 * when another process has one.
 */
export function lockRegion(region: LockedRegion): readonly Fd[] {
  const range = lockRegionRange(region)
  try {
    return [range, lockFormerFile(region)].filter((fd) => fd !== undefined)
  } catch (error) {
    close(range)
    throw error
  }
}

/** Errors: UsageError when another process has it. */
export function lockRegionRange(region: LockedRegion): Fd {
  const lock = lockRange(region.lockRange)
  if (!(lock instanceof Errno)) return lock
  if (lock === EAGAIN) throw new UsageError(inUse(region))
  const mend = lock === EACCES || lock === EPERM ? 'run it with sudo' : "'mount -t sysfs sysfs /sys' first"
  throw new UsageError(`region ${region.name} cannot be locked in /sys (${lock}): ${mend}`)
}

/**
 * undefined: /run is full and the file is not there, so that no process of a former version has it. Errors:
 * UsageError when another process has it.
 */
export const lockFormerFile = (region: LockedRegion): Fd | undefined =>
  takeLockIfRoom(regionLockPath(region), inUse(region))
