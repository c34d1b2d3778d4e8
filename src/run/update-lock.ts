/** The host-wide lock: one live update of the kernel, or one resumption after it, at a time. */
import { close } from '../linux/descriptors.ts'
import { lockFile } from '../linux/process.ts'
import { EAGAIN, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { ensureFolder, RUN } from './paths.ts'
import { lockFileWithin } from './take-lock.ts'

/** For a resumption of other guests, which waits for taps and RAM up to 30 s, and starts QEMUs. */
const PATIENCE_MS = 90_000

/** As `lockUpdates`, and waits for the command that holds the lock. Errors: UsageError. */
export async function waitForUpdates(): Promise<() => void> {
  return release(await lockFileWithin(lockPath(RUN), PATIENCE_MS))
}

/**
 * Returns a function that releases the lock; the end of the process does, too. Errors (UsageError): another
 * holds it, no permission.
 */
export const lockUpdates = (directory = RUN): (() => void) => release(lockFile(lockPath(directory)))

function lockPath(directory: string): string {
  try {
    return `${ensureFolder(directory)}/kernel-update.lock`
  } catch (cause) {
    throw new UsageError('a live update needs root: run it with sudo', { cause })
  }
}

function release(lock: Fd | Errno): () => void {
  if (!(lock instanceof Errno)) return () => close(lock)
  if (lock === EAGAIN) throw new UsageError('a live update of the kernel is under way: wait for its end')
  throw new UsageError(`a live update needs root: run it with sudo (${lock})`)
}
