/**
 * The paths under /run/guestmemfs. No state is kept there: its records name the processes of pools and VMs
 * until the machine is restarted, and all of it ends with the kernel.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

export const RUN = '/run/guestmemfs'
export const POOLS = join(RUN, 'pools')
export const REGIONS = join(RUN, 'regions')
export const VMS = join(RUN, 'vm')
export const REPORTS = join(RUN, 'live-update')

/** `path`, made when it is missing: everyone may read it, and root alone may write. */
export function ensureFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o755 })
  return path
}
