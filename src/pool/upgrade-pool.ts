/**
 * The upgrade of a mounted pool's formats to the newest that this version writes, under running guests. Until
 * then, the older version that made a pool can still read it; afterwards it refuses the pool.
 * docs/internals/image-format.md has the formats, and what a crash in between leaves. A pool's runtime area
 * is made anew with each mount.
 */
import { setxattr } from '../linux/xattr.ts'
import { isAlive } from '../run/process-identity.ts'
import { EACCES, EBUSY, EPERM, type Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { FORMAT_XATTR } from '../values/xattr-names.ts'
import { imageFormat, READ_FORMATS } from './formats.ts'
import { findKnownPool } from './known-pools.ts'
import { findMount, type PoolMount } from './pool-view.ts'
import { isUnitActive, unit } from './systemd-unit.ts'

export interface UpgradePlan extends PoolMount {
  readonly from: number
  readonly to: number
}

/** Throws UsageError, with nothing changed: why it cannot be upgraded, and what to do. */
export function planUpgrade(named: string | undefined): UpgradePlan {
  const mount = mountOf(named)
  const to = READ_FORMATS.image.newest
  const { version: from, newest } = imageFormat(mount.mountPoint)
  if (from > to)
    throw new UsageError(
      `pool '${mount.pool}' has image format ${from}, newer than ${to}, the newest of this guestmemfs: nothing to upgrade`,
    )
  if (newest < to)
    throw new UsageError(
      `pool '${mount.pool}' is served by an older guestmemfs, which writes image format ${newest}: ${takeoverBy(mount)}, then upgrade it`,
    )
  return { ...mount, from, to }
}

/** Has no effect where the pool has that format already. Errors: UsageError, with nothing changed. */
export function upgradePool({ pool, mountPoint, from, to }: UpgradePlan): void {
  if (from === to) return
  const failed = setxattr(mountPoint, FORMAT_XATTR, Buffer.from(String(to)))
  if (failed !== undefined)
    throw new UsageError(`upgrading pool '${pool}' failed: ${whyFailed(failed, pool)}`)
  const { version } = imageFormat(mountPoint)
  if (version !== to) throw new UsageError(`upgrading pool '${pool}' left it at image format ${version}`)
}

function mountOf(named: string | undefined): PoolMount {
  const known = named === undefined ? undefined : findKnownPool(named)
  if (known?.state === 'parked')
    throw new UsageError(`pool '${known.pool}' is parked: mount it, then upgrade it`)
  return findMount(named)
}

function whyFailed(errno: Errno, pool: string): string {
  // EACCES: the caller may not search the root directory.
  if (errno === EPERM || errno === EACCES) return 'it needs root: run it with sudo'
  if (errno === EBUSY) return `it is frozen or being handed over: 'guestmemfs thaw ${pool}', then again`
  return errno.name
}

/** How the operator makes the installed version serve the pool. */
function takeoverBy({ pool, mountPoint }: PoolMount): string {
  if (isUnitActive(pool)) return `'systemctl restart ${unit(pool)}'`
  const keeper = findKnownPool(pool)?.keeper
  const mount = `'guestmemfs mount ${pool} ${mountPoint}'`
  return keeper !== undefined && isAlive(keeper)
    ? `'kill -KILL ${keeper.pid}' ends its keeper, while its server serves on, and ${mount} takes it over`
    : `${mount} takes it over`
}
