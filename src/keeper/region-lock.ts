/** Owns that a region has one pool at a time: whoever serves or formats it holds its lock for as long as it lives. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { lockFile } from '../linux/process.ts'
import { type CarveOutChoice, findCarveOut } from '../stores/find-carve-out.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'

const DIRECTORY = '/run/guestmemfs/regions'

/** Released by the end of this process, however it ends. Errors: UsageError when somebody else has it, or there is no region. */
export const lockRegion = (choice: CarveOutChoice): void => {
  const found = findCarveOut(choice)
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o755 })
  const lock = lockFile(join(DIRECTORY, `${found.lockName}.lock`))
  if (lock instanceof Errno) {
    throw new UsageError(`region ${found.name} is in use by another pool: see 'guestmemfs list'`)
  }
}
