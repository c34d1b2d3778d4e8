/** The host-wide lock: one live update of the kernel, or one resumption after it, at a time. */
import { close } from '../linux/descriptors.ts'
import { lockFile } from '../linux/process.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { ensureFolder, RUN } from './paths.ts'

/**
 * Returns a function that releases the lock; the end of the process does, too. Errors (UsageError): another
 * holds it, no permission.
 */
export function lockUpdates(directory = RUN): () => void {
  let lock: ReturnType<typeof lockFile>
  try {
    lock = lockFile(`${ensureFolder(directory)}/kernel-update.lock`)
  } catch (cause) {
    throw new UsageError('a live update needs root: run it with sudo', { cause })
  }
  if (lock instanceof Errno) {
    throw new UsageError(
      lock.name === 'EAGAIN'
        ? 'a live update of the kernel is under way: wait for its end'
        : `a live update needs root: run it with sudo (${lock})`,
    )
  }
  const held = lock
  return () => close(held)
}
