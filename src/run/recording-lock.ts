/**
 * The lock of the command that records a VM: two at once would see neither each other's record nor the RAM
 * files that the other has just made. The kernel releases it when the process ends.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../linux/descriptors.ts'
import { lockFile } from '../linux/process.ts'
import { EAGAIN, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { ensureFolder, RUN } from './paths.ts'

const PAUSE_MS = 20
/** The kernel may have to clear the RAM file of another guest meanwhile. */
const PATIENCE_MS = 60_000

/** Waits for it. Returns what releases it. Errors: UsageError. */
export async function lockRecording(): Promise<() => void> {
  if (process.getuid?.() !== 0) throw new UsageError('recording a VM needs root: run it with sudo')
  const path = join(ensureFolder(RUN), 'recording.lock')
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const lock = lockFile(path)
    if (!(lock instanceof Errno)) return () => close(lock)
    if (lock !== EAGAIN || performance.now() > deadline)
      throw new UsageError(`the VM cannot be recorded now (${lock} of ${path}): another command records one`)
    await sleep(PAUSE_MS)
  }
}
