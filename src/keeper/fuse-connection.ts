/** The number of a pool's FUSE connection, which a forced unmount needs. */
import { fuseMountOf } from '../linux/mount.ts'
import { readPoolRecord } from '../run/pool-record.ts'

/**
 * The connection of the pool's mount. What was unmounted with `umount -l` before this keeper took it over is
 * in no mount table, only in the record that the former keeper wrote.
 */
export function connectionOf(pool: string, mountPoint: string): number | undefined {
  try {
    return fuseMountOf({ pool, mountPoint })?.minor ?? formerConnection(pool)
  } catch {
    // The previous holder may be dead by now: nothing that only a forced unmount needs may end this keeper.
    return formerConnection(pool)
  }
}

function formerConnection(pool: string): number | undefined {
  try {
    return readPoolRecord(pool)?.connection
  } catch {
    return undefined // Of another version, which does not say.
  }
}
