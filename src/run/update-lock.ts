/** The host-wide lock: one live update of the kernel, or one resumption after it, at a time. */
import { join } from 'node:path'
import { close } from '../linux/descriptors.ts'
import { lockFile } from '../linux/lock-file.ts'
import { EACCES, EAGAIN, EPERM, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { makeFolder, RUN, whyUnwritable } from './paths.ts'
import { lockFileWithin } from './take-lock.ts'

/** For a resumption of other guests, which waits for taps and RAM up to 30 s, and starts QEMUs. */
const PATIENCE_MS = 90_000

/** As `lockUpdates`, and waits for the command that holds the lock. Errors: UsageError. */
export async function waitForUpdates(): Promise<() => void> {
  const path = lockPath(RUN)
  return release(path, makeFolder(RUN) ?? (await lockFileWithin(path, PATIENCE_MS)))
}

/**
 * Returns a function that releases the lock; the end of the process does, too. Errors (UsageError): another
 * holds it, no permission, /run takes no files.
 */
export function lockUpdates(directory = RUN): () => void {
  const path = lockPath(directory)
  return release(path, makeFolder(directory) ?? lockFile(path))
}

const lockPath = (directory: string): string => join(directory, 'kernel-update.lock')

function release(path: string, lock: Fd | Errno): () => void {
  if (!(lock instanceof Errno)) return () => close(lock)
  if (lock === EAGAIN) throw new UsageError('a live update of the kernel is under way: wait for its end')
  if (lock === EACCES || lock === EPERM)
    throw new UsageError(`a live update needs root: run it with sudo (${lock})`)
  throw new UsageError(whyUnwritable(path, lock))
}
