/**
 * The paths under /run/guestmemfs. No state is kept there: its records name the processes of pools and VMs
 * until the machine is restarted, and all of it ends with the kernel.
 */
import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOfNodeError } from '../linux/library.ts'
import { EACCES, EPERM, EROFS, type Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'

export const RUN = '/run/guestmemfs'
export const POOLS = join(RUN, 'pools')
export const REGIONS = join(RUN, 'regions')
export const VMS = join(RUN, 'vm')
export const REPORTS = join(RUN, 'live-update')
/** The socket of the one process that watches all guests, and that process's lock. */
export const WATCHER = join(RUN, 'watcher')
export const WATCHER_LOCK = join(RUN, 'watcher.lock')
/** There from when such a process is started until it listens. */
export const WATCHER_STARTING = join(RUN, 'watcher.starting')
export const UPDATES = join(RUN, 'updates')

/**
 * Makes the folder at `path` when it is missing: everyone may read it, and root alone may write. Errors:
 * ENOSPC, EROFS, EACCES.
 */
export function makeFolder(path: string): Errno | undefined {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 })
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/** `path`, as `makeFolder` makes it. Errors: UsageError where /run takes no files. */
export function ensureFolder(path: string): string {
  const failed = makeFolder(path)
  if (failed !== undefined) throw new UsageError(whyUnwritable(path, failed))
  return path
}

/** Throws UsageError where no file can be made in the folder at `path`, which may be missing. */
export function checkWritable(path: string): void {
  try {
    accessSync(ensureFolder(path), constants.W_OK)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(whyUnwritable(path, errnoOfNodeError(error)))
  }
}

/** One line for the operator. `errno`: the kernel's answer to making or opening the file. */
export function whyUnwritable(path: string, errno: Errno): string {
  if (errno === EACCES || errno === EPERM) return `${path} cannot be written: run it with sudo`
  const mend = errno === EROFS ? `'mount -o remount,rw /run' first` : `${RUN} needs room for some small files`
  return `${path} cannot be written (${errno}): ${mend}`
}
