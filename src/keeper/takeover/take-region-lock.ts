/**
 * The lock of a region across a takeover. It is of one open file that keeper and server share, so it is
 * locked as long as one of them lives; the next keeper copies the descriptor out of the previous holder, and
 * no other process gets the region in between.
 */
import { close } from '../../linux/descriptors.ts'
import { errnoOfNodeError } from '../../linux/library.ts'
import { isLocked } from '../../linux/own-lock.ts'
import { pidfdGetFd, pidfdOpen } from '../../linux/process.ts'
import { lockRegion, regionLockPath } from '../../run/region-lock.ts'
import type { Region } from '../../stores/driver.ts'
import { Errno } from '../../values/errno.ts'
import type { Fd } from '../../values/ids.ts'
import { descriptorLinks } from './copy-fds.ts'
import type { PreviousHolder } from './holder-process.ts'

/** Errors: UsageError when another process has it than the previous holder. */
export const takeRegionLock = (region: Region, previous: PreviousHolder | null): Fd =>
  (previous === null ? undefined : copyLock(previous.process.pid, regionLockPath(region))) ??
  lockRegion(region)

/** undefined: process `pid` does not have it (a server of before this rule), or has ended. */
function copyLock(pid: number, path: string): Fd | undefined {
  const pidfd = pidfdOpen(pid)
  if (pidfd instanceof Errno) return undefined
  try {
    const held = [...descriptorLinks(pid)].find(([fd, link]) => link === path && isLocked(pid, fd))
    const copy = held === undefined ? undefined : pidfdGetFd(pidfd, held[0])
    return copy instanceof Errno ? undefined : copy
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  } finally {
    close(pidfd)
  }
}
