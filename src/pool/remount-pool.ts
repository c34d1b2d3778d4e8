/**
 * The change of a mounted pool's flags: `mount -o remount,ro`. What only the making of a pool decides stays
 * as it is, and asking for anything else is refused: the kernel would answer success and change nothing.
 */
import { statSync } from 'node:fs'
import { remountFuse } from '../linux/mount.ts'
import { readPoolRecord } from '../run/pool-record.ts'
import type { RootDirectory } from '../server/messages.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import { type MountOptions, parseMountOptions } from './mount-options.ts'
import type { MountRequest } from './mount-pool.ts'
import { wholeBlocks } from './pool-size.ts'
import { findMount } from './pool-view.ts'
import { splitOptions } from './vfs-options.ts'

/** What mount(8) adds: FUSE's own options of the mount, as /proc/self/mountinfo shows them. */
const FUSES_OWN =
  /^(fd|rootmode|user_id|group_id|max_read|blksize)=|^(default_permissions|allow_other|remount)$/

export const isRemount = ({ options }: MountRequest): boolean => splitOptions(options).includes('remount')

/** Returns the pool. Errors: UsageError, with nothing changed. */
export function remountPool({ pool: named, mountPoint, options }: MountRequest): string {
  const { pool, mountPoint: found } = findMount(mountPoint)
  if (named !== pool && named !== found)
    throw new UsageError(`pool '${pool}' is mounted on ${found}, not '${named}': remount that`)
  const wanted = parseMountOptions(splitOptions(options).filter((word) => !FUSES_OWN.test(word)))
  checkUnchanged(pool, wanted)
  const failed = remountFuse(found, wanted.mountFlags, wanted.kernelOptions)
  if (failed) throw new UsageError(`remounting ${found} failed: ${failed}`)
  return pool
}

function checkUnchanged(pool: string, { sizeBytes, store, region }: MountOptions): void {
  const record = readPoolRecord(pool)
  if (record === undefined) throw new UsageError(`pool '${pool}' has no record: see 'guestmemfs list'`)
  const { source } = record
  const stays = `cannot be changed by a remount: park or discard the pool ('guestmemfs umount') and mount it anew`
  if (sizeBytes !== undefined && wholeBlocks(sizeBytes) !== record.sizeBytes)
    throw new UsageError(
      `pool '${pool}' has ${formatSize(record.sizeBytes)}, not ${formatSize(sizeBytes)}: a pool keeps the size it was made with; to have another, discard it ('guestmemfs umount --discard ${pool}') and mount it anew`,
    )
  if (store !== undefined && store !== source.kind)
    throw new UsageError(`pool '${pool}' has store=${source.kind}, which ${stays}`)
  if (region !== undefined && source.kind !== 'memfd' && source.region !== null && region !== source.region)
    throw new UsageError(`pool '${pool}' has region=${source.region}, which ${stays}`)
}

/**
 * What of `mode=`, `uid=` and `gid=` the root directory does not have, in a line for people: these are for an
 * empty pool, and what chmod(1) and chown(1) gave since is never altered.
 */
export function differingRoot(mountPoint: string, { mode, uid, gid }: RootDirectory): string | undefined {
  if (mode === undefined && uid === undefined && gid === undefined) return undefined
  const is = statSync(mountPoint)
  const isMode = is.mode & 0o7777
  if ((mode ?? isMode) === isMode && (uid ?? is.uid) === is.uid && (gid ?? is.gid) === is.gid)
    return undefined
  return `the root directory stays ${isMode.toString(8)} ${is.uid}:${is.gid}: mode=, uid= and gid= are for a pool that holds nothing yet; use chmod and chown`
}
