/**
 * The lock of the command that records a VM: two at once would see neither each other's record nor the RAM
 * files that the other has just made. The kernel releases it when the process ends.
 */
import { join } from 'node:path'
import { close } from '../linux/descriptors.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { ensureFolder, RUN } from './paths.ts'
import { lockFileWithin } from './take-lock.ts'

/** The kernel may have to clear the RAM file of another guest meanwhile. */
const PATIENCE_MS = 60_000

/** Waits for it. Returns what releases it. Errors: UsageError. */
export async function lockRecording(): Promise<() => void> {
  if (process.getuid?.() !== 0) throw new UsageError('recording a VM needs root: run it with sudo')
  const path = join(ensureFolder(RUN), 'recording.lock')
  const lock = await lockFileWithin(path, PATIENCE_MS)
  if (lock instanceof Errno)
    throw new UsageError(`the VM cannot be recorded now (${lock} of ${path}): another command records one`)
  return () => close(lock)
}
