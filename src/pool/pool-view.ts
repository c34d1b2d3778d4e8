/**
 * A mounted pool as other processes see it: the mount is the API, so all of it is xattrs on the mount point.
 * Must not: access the keeper or the image.
 */
import { realpathSync } from 'node:fs'
import { isPoolMount, mountTable } from '../linux/mounts.ts'
import { getxattr, setxattr } from '../linux/xattr.ts'
import { EACCES, EBUSY, ENODATA, ENOTCONN, EOPNOTSUPP, EPERM, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { FROZEN_XATTR, VIRTUAL_PREFIX } from '../values/xattr-names.ts'

/**
 * A virtual xattr of the root directory. Only root can read it. It exists only for a store whose objects the
 * keeper can preserve.
 */
export const HANDOVER_VIEW = 'handover'

export interface PoolMount {
  readonly pool: string
  readonly mountPoint: string
}

/** Every guestmemfs mount in this process's mount namespace. */
export const poolMounts = (): PoolMount[] =>
  mountTable()
    .filter((mount) => isPoolMount(mount) && mount.root === '/')
    .map((mount) => ({ pool: mount.source, mountPoint: mount.target }))

/**
 * The mount that the operator names by its pool's name or by its mount point, also through a symlink, or not
 * at all where there is only one.
 * Errors: UsageError.
 */
export function findMount(named: string | undefined): PoolMount {
  const mounts = poolMounts()
  if (named === undefined) {
    const [only, another] = mounts
    if (only === undefined)
      throw new UsageError("no pool is mounted: mount one with 'guestmemfs mount guestmemfs DIR'")
    if (another !== undefined)
      throw new UsageError(
        `several pools are mounted: say which of ${mounts.map((mount) => mount.mountPoint).join(', ')}`,
      )
    return only
  }
  const path = named.length > 1 ? named.replace(/\/+$/, '') : named
  const found =
    mounts.find((mount) => mount.mountPoint === path || mount.pool === named) ??
    mounts.find(({ mountPoint }) => mountPoint === resolved(named))
  if (found === undefined)
    throw new UsageError(`'${named}' is not a mounted pool or its mount point: see 'guestmemfs list'`)
  return found
}

/** A pool's name is no path. */
function resolved(named: string): string | undefined {
  try {
    return named.includes('/') ? realpathSync(named) : undefined
  } catch {
    return undefined
  }
}

function readText(path: string, name: string): string | Errno {
  const value = getxattr(path, name)
  return value instanceof Errno ? value : Buffer.from(value).toString('utf8')
}

/** A mount whose keeper and server have both died: the pool may be lost, and its guests may still run. */
export class DeadMount extends UsageError {
  constructor(path: string) {
    super(
      `${path} is dead (ENOTCONN), the processes of its pool have ended: ` +
        `'guestmemfs mount POOL ${path}' brings back what is left of it, or says what is lost`,
    )
  }
}

/**
 * A virtual xattr `guestmemfs.NAME`, parsed. undefined where it does not exist. Errors: UsageError, of which
 * DeadMount.
 */
export function readVirtual(path: string, name: string): unknown {
  const text = readText(path, VIRTUAL_PREFIX + name)
  if (text === ENODATA) return undefined
  if (text === EOPNOTSUPP) throw new UsageError(`${path} is not in a guestmemfs mount: see 'guestmemfs list'`)
  if (text === EPERM)
    throw new UsageError(
      `${path} shows only root what files are in it (guestmemfs.${name}): run it with sudo`,
    )
  if (text === ENOTCONN) throw new DeadMount(path)
  if (text instanceof Errno) throw new UsageError(`reading guestmemfs.${name} of ${path} failed: ${text}`)
  return JSON.parse(text)
}

/** Long lists come in pages: guestmemfs.NAME, guestmemfs.NAME.1, … */
export function readVirtualList(path: string, name: string): unknown[] {
  const items: unknown[] = []
  for (let page = 0; ; page++) {
    const part = readVirtual(path, page === 0 ? name : `${name}.${page}`)
    if (!Array.isArray(part)) return items
    items.push(...part)
  }
}

export const isFrozen = (mountPoint: string): boolean => readText(mountPoint, FROZEN_XATTR) === '1'

/** Freezes or thaws. Returns false when it was so already. Errors: UsageError. */
export function setFrozen(mount: PoolMount, frozen: boolean): boolean {
  const before = readText(mount.mountPoint, FROZEN_XATTR)
  if (before === (frozen ? '1' : '0')) {
    // Objects of a pool that is not frozen may be preserved, too: this unpreserves them. An error does not
    // matter, as there may be no such object.
    if (!frozen) setxattr(mount.mountPoint, FROZEN_XATTR, Buffer.from('0'))
    return false
  }
  const failed = setxattr(mount.mountPoint, FROZEN_XATTR, Buffer.from(frozen ? '1' : '0'))
  if (failed === undefined) return true
  const why =
    failed === EPERM || failed === EACCES
      ? 'it needs root'
      : failed === EBUSY
        ? 'a modification is under way: try again'
        : failed.name
  throw new UsageError(`${frozen ? 'freezing' : 'thawing'} pool '${mount.pool}' failed: ${why}`)
}
