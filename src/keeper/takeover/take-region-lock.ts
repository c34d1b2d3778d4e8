/**
 * The locks of a region across a takeover. Each is of one open file that keeper and server share, so the
 * region is locked as long as one of them runs; the next keeper copies the descriptors out of the previous
 * holder, and no other process gets the region in between.
 */
import { close } from '../../linux/descriptors.ts'
import { errnoOfNodeError } from '../../linux/library.ts'
import { isLocked } from '../../linux/own-lock.ts'
import { pidfdGetFd, pidfdOpen } from '../../linux/process.ts'
import { holdRange, isRangeLockLink } from '../../linux/range-lock.ts'
import { lockFormerFile, lockRegion, lockRegionRange, regionLockPath } from '../../run/region-lock.ts'
import type { Region } from '../../stores/driver.ts'
import { Errno } from '../../values/errno.ts'
import type { Fd } from '../../values/ids.ts'
import type { PreviousHolder } from '../contact.ts'
import { descriptorLinks } from './held-areas.ts'

/**
 * A previous holder of a former version has the lock of the file alone, or none: this takes what it does not
 * have. Errors: UsageError when another process has one of them than the previous holder.
 */
export function takeRegionLocks(region: Region, previous: PreviousHolder | null): readonly Fd[] {
  if (previous === null) return lockRegion(region)
  const { pid } = previous.process
  const range = copyLock(pid, isRangeLockLink)
  // Of its open file, which has the range already: this fails where it is the lock of another region.
  const isRegions = range !== undefined && holdRange(range, region.lockRange) === undefined
  if (range !== undefined && !isRegions) close(range)
  const path = regionLockPath(region)
  const file = copyLock(pid, (link) => link === path)
  return [isRegions ? range : lockRegionRange(region), file ?? lockFormerFile(region)].filter(
    (fd) => fd !== undefined,
  )
}

/** undefined: process `pid` does not have it, or has ended. */
function copyLock(pid: number, isIt: (link: string) => boolean): Fd | undefined {
  const pidfd = pidfdOpen(pid)
  if (pidfd instanceof Errno) return undefined
  try {
    const held = [...descriptorLinks(pid)].find(([fd, link]) => isIt(link) && isLocked(pid, fd))
    const copy = held === undefined ? undefined : pidfdGetFd(pidfd, held[0])
    return copy instanceof Errno ? undefined : copy
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  } finally {
    close(pidfd)
  }
}
