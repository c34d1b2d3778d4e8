/** A pool's FUSE connection: how it is made, and its number, which a forced unmount needs. */
import { close } from '../linux/descriptors.ts'
import { openFuseDevice } from '../linux/fuse-device.ts'
import { fuseMountOf, mountFuse, unmount } from '../linux/mounts.ts'
import { readPoolRecord } from '../run/pool-record.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import type { KeeperMountOptions } from './contact.ts'

/**
 * The connection of the pool's mount. A mount that was unmounted with `umount -l` before this keeper took it
 * over is in no mount table, only in the record that the former keeper wrote.
 */
export function connectionOf(pool: string, mountPoint: string): number | undefined {
  try {
    return fuseMountOf({ pool, mountPoint })?.minor ?? formerConnection(pool)
  } catch {
    // The previous holder may have ended by now: nothing that only a forced unmount needs may end this
    // keeper.
    return formerConnection(pool)
  }
}

function formerConnection(pool: string): number | undefined {
  try {
    return readPoolRecord(pool)?.connection
  } catch {
    return undefined // Of another version, which does not record it.
  }
}

/**
 * Mounts the pool, whose memory and region this process has: its former mount has lost its connection.
 * Requests wait until a server reads them. Errors: UsageError.
 */
export function mountConnection(options: KeeperMountOptions): Fd {
  const { pool, mountPoint, mountFlags, kernelOptions, deadMount } = options
  if (deadMount !== null) unmount(deadMount, { lazy: true })
  const fuse = openFuseDevice()
  const how = ['allow_other', 'default_permissions', ...kernelOptions]
  const failed = mountFuse({
    fuseFd: fuse,
    source: pool,
    target: mountPoint,
    flags: mountFlags,
    options: how,
  })
  if (failed === undefined) return fuse
  close(fuse)
  throw new UsageError(`mounting on ${mountPoint} failed (${failed}): see dmesg`)
}

/** An aborted connection leaves its mount, in which every system call fails with ENOTCONN. */
export function unmountAborted(left: Pick<KeeperMountOptions, 'pool' | 'mountPoint'>): void {
  if (fuseMountOf(left) !== undefined) unmount(left.mountPoint, { lazy: true })
}
