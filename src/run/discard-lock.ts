/**
 * The lock of a process that discards a pool. As long as it is held, keep-pool.ts must not take the pool over
 * from the unit's store. The kernel releases it when the process ends.
 */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { close } from '../linux/descriptors.ts'
import { lockFile } from '../linux/lock-file.ts'
import { Errno } from '../values/errno.ts'
import { ensureFolder, POOLS } from './paths.ts'
import { takeLock } from './take-lock.ts'

const discardLockPath = (pool: string): string => join(POOLS, `${pool}.discard`)

/** Returns what releases the lock. Errors: UsageError. */
export function lockDiscard(pool: string): () => void {
  ensureFolder(POOLS)
  const path = discardLockPath(pool)
  const lock = takeLock(path, `pool '${pool}' is being discarded by another process`)
  return () => {
    rmSync(path, { force: true })
    close(lock)
  }
}

export function isBeingDiscarded(pool: string): boolean {
  const path = discardLockPath(pool)
  if (!existsSync(path)) return false
  const lock = lockFile(path)
  if (lock instanceof Errno) return true
  close(lock)
  return false
}
