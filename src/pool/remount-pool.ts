/**
 * The change of a mounted pool's flags, `mount -o remount,ro`, and of the size of a pool of memfds,
 * `remount,size=`. What is fixed when a pool is made stays as it is, and a request to change it is refused:
 * the kernel would answer success and change nothing.
 */
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { remountFuse } from '../linux/mounts.ts'
import { setxattr } from '../linux/xattr.ts'
import { type PoolRecord, readPoolRecord } from '../run/pool-record.ts'
import type { RootDirectory } from '../server/messages.ts'
import { EBUSY, EPERM, EROFS, type Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { PERMISSION_BITS } from '../values/uapi.ts'
import { SIZE_XATTR } from '../values/xattr-names.ts'
import { choosePoolSize, wholeBlocks } from './choose-pool-size.ts'
import { type MountOptions, parseMountOptions } from './mount-options.ts'
import type { Mounted, MountRequest } from './mount-pool.ts'
import { findMount, isFrozen, readVirtual } from './pool-view.ts'
import { splitOptions } from './vfs-options.ts'

/** What mount(8) adds: FUSE's own options of the mount, as /proc/self/mountinfo shows them. */
const FUSES_OWN =
  /^(fd|rootmode|user_id|group_id|max_read|blksize)=|^(default_permissions|allow_other|remount)$/

/** Many times what a keeper takes to write the pool's record. */
const RECORD_MS = 1000
/** `guestmemfs.size` of the root; ENODATA where nothing can change it. */
const Sizes = v.object({ totalBytes: v.number(), leastBytes: v.number() })

export const isRemount = ({ options }: MountRequest): boolean => splitOptions(options).includes('remount')

/** Errors: UsageError, with nothing changed. */
export async function remountPool({
  pool: named,
  mountPoint,
  options,
}: MountRequest): Promise<Omit<Mounted, 'how'>> {
  const { pool, mountPoint: found } = findMount(mountPoint)
  if (named !== pool && named !== found)
    throw new UsageError(`pool '${pool}' is mounted on ${found}, not '${named}': remount that`)
  const wanted = parseMountOptions(splitOptions(options).filter((word) => !FUSES_OWN.test(word)))
  const record = checkUnchanged(pool, wanted)
  const size = newSize(record, wanted)
  // Changes the size first, because the server can refuse it, and undoes that where the kernel refuses the
  // rest.
  const before = size === undefined ? undefined : resize(record, found, size)
  const failed = remountFuse(found, wanted.mountFlags, wanted.kernelOptions)
  if (failed && before !== undefined) setSize(found, before)
  if (failed) throw new UsageError(`remounting ${found} failed: ${failed}`)
  if (size !== undefined) await waitForRecord(pool, size)
  return { pool, mountPoint: found, sizeBytes: size ?? record.sizeBytes }
}

/** The new size of the pool in bytes; undefined: it keeps the one it has. Errors: UsageError. */
function newSize({ pool, source, sizeBytes }: PoolRecord, { sizeBytes: asked }: MountOptions) {
  if (asked === undefined) return undefined
  if (!isInRegion(source)) return choosePoolSize(asked)
  if (wholeBlocks(asked) === sizeBytes) return undefined
  throw new UsageError(
    `pool '${pool}' has ${formatSize(sizeBytes)}, not ${formatSize(asked)}: a carve-out is as large as what was set aside at boot ('guestmemfs reserve')`,
  )
}

/** Returns the size that it had. Errors: UsageError. */
function resize({ pool, sizeBytes: recorded }: PoolRecord, mountPoint: string, sizeBytes: number): number {
  const sizes = v.safeParse(Sizes, readVirtual(mountPoint, 'size'))
  // mount(8) adds the size= of fstab: where that is the pool's size, a server that cannot change sizes need
  // not.
  if (!sizes.success && sizeBytes === recorded) return recorded
  if (!sizes.success)
    throw new UsageError(
      `pool '${pool}' is served by a guestmemfs that does not change sizes: mount it again, and with a new server it can`,
    )
  const { totalBytes, leastBytes } = sizes.output
  if (sizeBytes === totalBytes) return totalBytes
  const least = `pool '${pool}' cannot have ${formatSize(sizeBytes)}: ${formatSize(leastBytes)} is the least, for so much is in use`
  if (sizeBytes < leastBytes) throw new UsageError(least)
  const failed = setSize(mountPoint, sizeBytes)
  switch (failed) {
    case undefined:
      return totalBytes
    case EBUSY:
      throw new UsageError(
        isFrozen(mountPoint)
          ? `pool '${pool}' is frozen: 'guestmemfs thaw ${pool}' first`
          : `${least}, or more by now`,
      )
    case EROFS:
      throw new UsageError(`${mountPoint} is mounted read-only: 'mount -o remount,rw ${mountPoint}' first`)
    case EPERM:
      throw new UsageError(
        process.getuid?.() === 0
          ? `pool '${pool}' has an image of an older format, which has one size for good: 'guestmemfs upgrade ${pool}', which former versions will not read`
          : 'changing the size of a pool needs root: run it with sudo',
      )
    default:
      throw new UsageError(`pool '${pool}' cannot have ${formatSize(sizeBytes)}: ${failed}`)
  }
}

const setSize = (mountPoint: string, bytes: number): Errno | undefined =>
  setxattr(mountPoint, SIZE_XATTR, Buffer.from(String(bytes)))

/** A keeper writes the record a moment later; one that cannot (a full /run) logs that. */
async function waitForRecord(pool: string, sizeBytes: number): Promise<void> {
  const deadline = performance.now() + RECORD_MS
  while (readPoolRecord(pool)?.sizeBytes !== sizeBytes && performance.now() < deadline) await sleep(5)
}

function checkUnchanged(pool: string, { store, region }: MountOptions): PoolRecord {
  const record = readPoolRecord(pool)
  if (record === undefined) throw new UsageError(`pool '${pool}' has no record: see 'guestmemfs list'`)
  const { source } = record
  const stays = `cannot be changed by a remount: park or discard the pool ('guestmemfs umount') and mount it anew`
  if (store !== undefined && store !== source.kind)
    throw new UsageError(`pool '${pool}' has store=${source.kind}, which ${stays}`)
  if (region !== undefined && isInRegion(source) && source.region !== null && region !== source.region)
    throw new UsageError(`pool '${pool}' has region=${source.region}, which ${stays}`)
  return record
}

/**
 * One line for the operator where the root directory differs from `mode=`, `uid=` and `gid=`: these are for
 * an empty pool, and never change what chmod(1) and chown(1) have set since.
 */
export function differingRoot(mountPoint: string, { mode, uid, gid }: RootDirectory): string | undefined {
  if (mode === undefined && uid === undefined && gid === undefined) return undefined
  const is = statSync(mountPoint)
  const isMode = is.mode & PERMISSION_BITS
  if ((mode ?? isMode) === isMode && (uid ?? is.uid) === is.uid && (gid ?? is.gid) === is.gid)
    return undefined
  return `the root directory stays ${isMode.toString(8)} ${is.uid}:${is.gid}: mode=, uid= and gid= are for a pool that holds nothing yet; use chmod and chown`
}
