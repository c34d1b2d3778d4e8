/**
 * Whether the service manager runs our keepers. Asked before anything else is loaded: imports nothing of
 * ours.
 */
import { existsSync } from 'node:fs'

const UNIT_PATH = '/etc/systemd/system/guestmemfs@.service'

/** systemd is this machine's service manager, our unit is installed, and we are not that unit already. */
export const hasUnit = (): boolean =>
  existsSync('/run/systemd/system') && existsSync(UNIT_PATH) && process.env.GUESTMEMFS_UNIT === undefined
