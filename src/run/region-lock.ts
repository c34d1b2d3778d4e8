/**
 * One pool at a time for a region: the process that serves or formats it holds its lock for as long as it
 * lives.
 */
import { join } from 'node:path'
import { lockFile } from '../linux/process.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { ensureFolder, REGIONS } from './paths.ts'

/**
 * Released by the end of this process, however it ends. `lockName`: what the region's driver calls it here,
 * unique for its memory. Errors: UsageError when another process has it.
 */
export function lockRegion({ name, lockName }: { readonly name: string; readonly lockName: string }): void {
  const lock = lockFile(join(ensureFolder(REGIONS), `${lockName}.lock`))
  if (lock instanceof Errno)
    throw new UsageError(`region ${name} is in use by another pool: see 'guestmemfs list'`)
}
