/** One pool at a time for a region: the process that serves or formats it holds its lock until it ends. */
import { join } from 'node:path'
import { lockFile } from '../linux/process.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { ensureFolder, REGIONS } from './paths.ts'

/**
 * The kernel releases it when this process ends. `lockName`: the region driver's name for it, unique for its
 * memory. Errors: UsageError when another process has it.
 */
export function lockRegion({ name, lockName }: { readonly name: string; readonly lockName: string }): void {
  const lock = lockFile(join(ensureFolder(REGIONS), `${lockName}.lock`))
  if (lock instanceof Errno)
    throw new UsageError(`region ${name} is in use by another pool: see 'guestmemfs list'`)
}
