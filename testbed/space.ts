/** The check, before a download or a build, that the cache's disk has room for it. */
import { mkdirSync, statfsSync } from 'node:fs'
import { UsageError } from '../src/values/errors.ts'
import { formatSize } from '../src/values/size.ts'

const MIB = 2 ** 20

/**
 * Throws `UsageError` that says how much is missing where `folder`'s file system has less than `needsBytes`
 * free.
 */
export function ensureRoom(folder: string, needsBytes: number, what: string): void {
  mkdirSync(folder, { recursive: true })
  const { bavail, bsize } = statfsSync(folder)
  const freeBytes = bavail * bsize
  if (freeBytes < needsBytes) throw new UsageError(noRoom(folder, needsBytes, freeBytes, what))
}

/** In whole MiB, so that the three sizes agree. */
export function noRoom(folder: string, needsBytes: number, freeBytes: number, what: string): string {
  const needs = Math.ceil(needsBytes / MIB)
  const free = Math.floor(freeBytes / MIB)
  const size = (mebibytes: number): string => formatSize(mebibytes * MIB)
  return (
    `${what} needs ${size(needs)} in ${folder}, where ${size(free)} are free: free ${size(needs - free)} more, ` +
    'or set XDG_CACHE_HOME to a larger disk'
  )
}
