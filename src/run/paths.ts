/**
 * Where things lie under /run/guestmemfs. Nothing there is state: it says which processes run what until the
 * machine is restarted, and all of it is gone with the kernel.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

export const RUN = '/run/guestmemfs'
export const POOLS = join(RUN, 'pools')
export const REGIONS = join(RUN, 'regions')
export const VMS = join(RUN, 'vm')
export const REPORTS = join(RUN, 'live-update')

/** `path`, made when it is missing: everyone may look, and root alone may write. */
export function ensureFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o755 })
  return path
}
