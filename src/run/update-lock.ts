/** The host-wide lock: one live update of the kernel, or one resumption after it, at a time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../linux/descriptors.ts'
import { lockFile } from '../linux/process.ts'
import { EAGAIN, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { ensureFolder, RUN } from './paths.ts'

const PAUSE_MS = 50
/** For a resumption of other guests, which waits for taps and RAM up to 30 s, and starts QEMUs. */
const PATIENCE_MS = 90_000

/** As `lockUpdates`, and waits for the command that holds the lock. Errors: UsageError. */
export async function waitForUpdates(): Promise<() => void> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return lockUpdates()
    } catch (error) {
      if (!(error instanceof UpdateUnderWay) || performance.now() > deadline) throw error
    }
    await sleep(PAUSE_MS)
  }
}

export class UpdateUnderWay extends UsageError {}

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
    if (lock === EAGAIN)
      throw new UpdateUnderWay('a live update of the kernel is under way: wait for its end')
    throw new UsageError(`a live update needs root: run it with sudo (${lock})`)
  }
  const held = lock
  return () => close(held)
}
