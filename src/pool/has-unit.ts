/**
 * Whether the service manager runs the keepers. Called before anything else is loaded: imports no other file
 * of guestmemfs.
 */
import { existsSync } from 'node:fs'

const UNIT_PATH = '/etc/systemd/system/guestmemfs@.service'

/** systemd is this machine's service manager, the unit is installed, and this process does not run in it. */
export const hasUnit = (): boolean =>
  existsSync('/run/systemd/system') && existsSync(UNIT_PATH) && process.env.GUESTMEMFS_UNIT === undefined
