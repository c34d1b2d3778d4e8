/**
 * The locks below /run that one process at a time has, and the message for an operator who cannot get one.
 */
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lockFile } from '../linux/lock-file.ts'
import { EAGAIN, ENOSPC, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { makeFolder, whyUnwritable } from './paths.ts'

const PAUSE_MS = 20

/** As `lockFile`, and waits for another process that has the lock. Errors: EAGAIN after `timeoutMs`. */
export async function lockFileWithin(path: string, timeoutMs: number): Promise<Fd | Errno> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const lock = lockFile(path)
    if (lock !== EAGAIN || performance.now() > deadline) return lock
    await sleep(PAUSE_MS)
  }
}

/**
 * As `takeLock`, of a file in a folder that may be missing. undefined: /run is full and the file is not
 * there, so that no other process has the lock.
 */
export function takeLockIfRoom(path: string, inUse: string): Fd | undefined {
  const lock = makeFolder(dirname(path)) ?? lockFile(path)
  if (!(lock instanceof Errno)) return lock
  if (lock === ENOSPC) return undefined
  throw notTaken(path, lock, inUse)
}

/**
 * Never waits. `inUse`: one line for the case that another process has the lock. Errors: UsageError, also
 * where no file can be made in /run (full, read-only).
 */
export function takeLock(path: string, inUse: string): Fd {
  const lock = lockFile(path)
  if (!(lock instanceof Errno)) return lock
  throw notTaken(path, lock, inUse)
}

const notTaken = (path: string, errno: Errno, inUse: string): UsageError =>
  new UsageError(errno === EAGAIN ? inUse : whyUnwritable(path, errno))
