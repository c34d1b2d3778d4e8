/**
 * Whether the service manager runs the keepers. Called before anything else is loaded: imports no other file
 * of guestmemfs.
 */
import { existsSync } from 'node:fs'

/** As `guestmemfs install` writes it, and as the Debian package has it. */
const UNIT_PATHS = ['/etc/systemd/system/guestmemfs@.service', '/usr/lib/systemd/system/guestmemfs@.service']

/** systemd is this machine's service manager, the unit is installed, and this process does not run in it. */
export const hasUnit = (): boolean =>
  existsSync('/run/systemd/system') &&
  UNIT_PATHS.some((path) => existsSync(path)) &&
  process.env.GUESTMEMFS_UNIT === undefined
