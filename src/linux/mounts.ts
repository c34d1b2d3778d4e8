/**
 * mount(2), umount2(2) and the mount table, for any FUSE file system. Numbers: include/uapi/linux/mount.h,
 * include/linux/fs.h; the table: Documentation/filesystems/proc.rst.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { EBUSY, type Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall } from './library.ts'

const libcMount = libcCall('mount', 'int', ['str', 'str', 'str', 'ulong', 'str'])
const umount2 = libcCall('umount2', 'int', ['str', 'int'])

const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

/** mount(2) flags that an option can set, by the names of mount(8). */
export const MOUNT_FLAGS = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  sync: 16,
  dirsync: 128,
  nosymfollow: 256,
  noatime: 1024,
  nodiratime: 2048,
  silent: 32768,
  relatime: 1 << 21,
  iversion: 1 << 23,
  strictatime: 1 << 24,
  lazytime: 1 << 25,
} as const
export type MountFlag = keyof typeof MOUNT_FLAGS

const MS_REMOUNT = 32

/** What `mount` and /proc/mounts show: the kernel lets the file system choose what follows `fuse.`. */
export const FUSE_TYPE = 'fuse.guestmemfs'

export interface FuseMount {
  /** An open /dev/fuse that has no connection yet. */
  readonly fuseFd: Fd
  readonly source: string
  readonly target: string
  /** A sum of `MOUNT_FLAGS`. */
  readonly flags: number
  /** FUSE's own options, such as `allow_other` and `default_permissions`. */
  readonly options: readonly string[]
}

/**
 * Returns at once: INIT waits on the descriptor, and a process that accesses the mount waits until it is
 * answered. The root directory belongs to root. Errors: ENOENT, ENOTDIR, EPERM, ENODEV (no FUSE), EBUSY,
 * EINVAL (an option).
 */
export function mountFuse({ fuseFd, source, target, flags, options }: FuseMount): Errno | undefined {
  const data = [`fd=${fuseFd}`, 'rootmode=40755', 'user_id=0', 'group_id=0', ...options].join(',')
  return errnoUnlessZero(libcMount(source, target, FUSE_TYPE, flags, data))
}

/**
 * Gives a FUSE mount other flags: `flags` are all that it has afterwards. FUSE itself changes nothing then
 * (`fuse_reconfigure`), and returns no error for options of its own. Errors: EINVAL (not a mount point, or an
 * option), EBUSY (files are open for writing), EPERM.
 */
export function remountFuse(target: string, flags: number, options: readonly string[]): Errno | undefined {
  return errnoUnlessZero(libcMount('none', target, FUSE_TYPE, MS_REMOUNT | flags, options.join(',')))
}

/**
 * umount2(2); never follows a symlink at `target`. `lazy` (MNT_DETACH) removes the mount point now; the
 * kernel ends the file system after its last user. Errors: EBUSY (in use), EINVAL (not a mount point),
 * ENOENT, EPERM.
 */
export function unmount(target: string, { lazy }: { lazy: boolean }): Errno | undefined {
  return errnoUnlessZero(umount2(target, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)))
}

export interface Mount {
  readonly id: number
  readonly parentId: number
  /** The device number; for FUSE `minor` is the connection's number in /sys/fs/fuse/connections. */
  readonly major: number
  readonly minor: number
  /** The directory of the file system that is mounted here: `/`, or that of a bind mount. */
  readonly root: string
  readonly target: string
  readonly options: readonly string[]
  readonly type: string
  readonly source: string
  readonly superOptions: readonly string[]
}

/**
 * Whether root has mounted it. With fusermount any user can make a mount of this type with the name of a pool
 * as its source; the kernel then shows who did (`user_id`, fuse_show_options(), fs/fuse/inode.c).
 */
export const isPoolMount = ({ type, superOptions }: Pick<Mount, 'type' | 'superOptions'>): boolean =>
  type === FUSE_TYPE && superOptions.includes('user_id=0')

/** The FUSE mount of `pool` on `mountPoint`, the last one made. `table`: the mount table of some process. */
export const fuseMountOf = (
  { pool, mountPoint }: { readonly pool: string; readonly mountPoint: string | null },
  table = mountTable(),
): Mount | undefined =>
  table.findLast((mount) => isPoolMount(mount) && mount.source === pool && mount.target === mountPoint)

/**
 * The mounts in the mount namespace of a process, by default this one, in the order in which they were made.
 * Paths are read as UTF-8. Throws what readFileSync throws where there is no such process.
 */
export function mountTable(pid: number | 'self' = 'self'): Mount[] {
  return parseMountInfo(readFileSync(`/proc/${pid}/mountinfo`, 'latin1'))
}

/** `text` is /proc/PID/mountinfo read as latin1; lines of another shape are left out. */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ', 2)
    const [id, parentId, device, root, target, options] = before?.split(' ') ?? []
    const [type, source, superOptions] = after?.split(' ') ?? []
    const [major, minor] = device?.split(':') ?? []
    if (!id || !parentId || !major || !minor || !root || !target || !options || !type || source === undefined)
      return []
    return {
      id: Number(id),
      parentId: Number(parentId),
      major: Number(major),
      minor: Number(minor),
      root: unmangle(root),
      target: unmangle(target),
      options: options.split(','),
      type: unmangle(type),
      source: unmangle(source),
      superOptions: (superOptions ?? '').split(','),
    }
  })
}

/**
 * The mount of `table` that `path`, absolute and without symlinks, lies in; of several at one place the last
 * one. undefined: the table has no root.
 */
export function mountHolding(path: string, table: readonly Mount[]): Mount | undefined {
  const holds = ({ target }: Mount): boolean =>
    target === '/' || path === target || path.startsWith(`${target}/`)
  return table
    .filter(holds)
    .reduce<Mount | undefined>(
      (found, each) => (each.target.length >= (found?.target.length ?? 0) ? each : found),
      undefined,
    )
}

/**
 * A field as it was: the kernel writes space, tab, newline, backslash and `#` as three octal digits
 * (`mangle()`, fs/seq_file.c), and fstab(5) has the same. `field`: read as latin1.
 */
export function unmangle(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

const CONNECTIONS = '/sys/fs/fuse/connections'

/**
 * Requests of a FUSE connection that are not answered yet (Documentation/filesystems/fuse.rst). `minor`: that
 * of its mount's device. undefined: no such connection, the control file system is not mounted, or this user
 * may not read it.
 */
export function waitingFuseRequests(minor: number): number | undefined {
  try {
    return Number(readFileSync(`${CONNECTIONS}/${minor}/waiting`, 'latin1'))
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}

/**
 * Ends a FUSE connection, whichever process holds it: every request, waiting or to come, fails with ENOTCONN,
 * and mappings by FUSE passthrough stay as they are. `minor` is that of its mount's device. The control file
 * system is mounted for as long as that takes where systemd has not mounted it. Errors: ENOENT (no such
 * connection), EPERM, EACCES.
 */
export function abortFuseConnection(minor: number): Errno | undefined {
  const isThere = mountTable().some(({ target }) => target === CONNECTIONS)
  const failed = isThere ? undefined : errnoUnlessZero(libcMount('none', CONNECTIONS, 'fusectl', 0, null))
  if (failed && failed !== EBUSY) return failed
  try {
    writeFileSync(`${CONNECTIONS}/${minor}/abort`, '1')
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  } finally {
    if (!isThere) umount2(CONNECTIONS, UMOUNT_NOFOLLOW | MNT_DETACH)
  }
}
