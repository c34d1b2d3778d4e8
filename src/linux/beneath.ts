/**
 * Paths beneath a guestmemfs mount, walked by the kernel from a descriptor of the mount. Other users own
 * directories in there, and may put a symlink in the place of one at any moment: root must not follow it to
 * where they could not go themselves. Source: openat2(2), include/uapi/linux/openat2.h.
 */
import { closeSync, constants, lstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { basename, dirname, relative } from 'node:path'
import { EAGAIN, EINVAL, ELOOP, ENOENT, ENOTDIR, Errno, EXDEV } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { close } from './descriptors.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall, orErrno } from './library.ts'
import { isPoolMount, mountTable } from './mounts.ts'

const syscall = libcCall('syscall', 'long', ['long', 'long', 'str', 'void *', 'size_t'])
const unlinkat = libcCall('unlinkat', 'int', ['int', 'str', 'int'])

const SYS_openat2 = 437
const O_PATH = 0o10000000
const O_CLOEXEC = 0o2000000
const RESOLVE_NO_XDEV = 0x01
const RESOLVE_NO_MAGICLINKS = 0x02
const RESOLVE_NO_SYMLINKS = 0x04
const RESOLVE_BENEATH = 0x08
const RESOLVE = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
/** The kernel answers EAGAIN where a rename came in between, as often as one does. */
const TRIES = 100

/** A directory from which paths are walked, and the mount that must still be there when it is opened. */
export interface Base {
  readonly path: string
  readonly mountId: number
}

/** The guestmemfs mount that `path` names something in. ENOENT: it is in none. */
export function mountOver(path: string): Base | Errno {
  let found: Base | undefined
  for (const mount of mountTable()) {
    const { root, target, id } = mount
    if (!isPoolMount(mount) || root !== '/' || !isBelow(path, target)) continue
    // Of two at one place the later one hides the earlier one.
    if (found === undefined || target.length >= found.path.length) found = { path: target, mountId: id }
  }
  return found ?? ENOENT
}

/**
 * `use` gets a descriptor of the mount, open until it returns, and the path from there to `path`. Errors:
 * ENOENT (`path` is in no guestmemfs mount), EXDEV (another mount is at that place by now).
 */
export function withMount<T>(
  path: string,
  use: (root: Fd, relativePath: string) => T,
  base: Base | Errno = mountOver(path),
): T | Errno {
  if (base instanceof Errno) return base
  let root: Fd
  try {
    root = openSync(base.path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW) as Fd
  } catch (error) {
    return errnoOfNodeError(error)
  }
  try {
    return mountIdOf(root) === base.mountId ? use(root, relative(base.path, path)) : EXDEV
  } finally {
    closeSync(root)
  }
}

/** A name in an open directory, both open until the function that was given it returns. */
export interface PlaceBeneath {
  readonly directory: Fd
  readonly name: string
  /**
   * The same as a path, for calls that do not follow a symlink at its end: no other part of it can be changed
   * by another user.
   */
  readonly path: string
}

/**
 * `use` gets the place that `path` names, where there may be no file. Errors also: ELOOP or ENOTDIR (a
 * directory of the path is a symlink or no directory by now), ENOENT, EXDEV (the path leads out of the mount,
 * or into another one), EINVAL (the mount itself).
 */
export function withPlace<T>(
  path: string,
  use: (place: PlaceBeneath) => T,
  base: Base | Errno = mountOver(path),
): T | Errno {
  const inMount = (root: Fd, relativePath: string): T | Errno => {
    const name = basename(relativePath)
    if (name === '' || name === '.') return EINVAL
    if (name === '..') return EXDEV
    const directory = openBeneath(root, dirname(relativePath), O_PATH | constants.O_DIRECTORY)
    if (directory instanceof Errno) return directory
    try {
      return use({ directory, name, path: `/proc/self/fd/${directory}/${name}` })
    } finally {
      close(directory)
    }
  }
  return withMount(path, inMount, base)
}

/**
 * openat2(2) from `directory` down: no symlink is followed, no mount entered, nothing above `directory`
 * reached. `mode` counts with O_CREAT alone. Errors: ELOOP (a symlink), EXDEV (it leads out of `directory`),
 * and open(2)'s.
 */
export function openBeneath(directory: Fd, path: string, flags: number, mode = 0): Fd | Errno {
  // SAFETY: the kernel reads one struct open_how of 24 bytes {u64 flags, mode, resolve}, which is `how`.
  const how = BigUint64Array.of(BigInt(flags | O_CLOEXEC), BigInt(mode), BigInt(RESOLVE))
  for (let tries = 1; ; tries++) {
    const fd = orErrno(syscall(SYS_openat2, directory, path, how, how.byteLength)) as Fd | Errno
    if (fd !== EAGAIN || tries === TRIES) return fd
  }
}

/** As lstat(2); undefined: there is no such name, or its path cannot be walked. `base` is for tests. */
export function statBeneath(path: string, base?: Base): Stats | undefined {
  const stat = withPlace(path, (place) => lstatSync(place.path, { throwIfNoEntry: false }), base)
  return stat instanceof Errno ? undefined : stat
}

/** Removes the name, a symlink's own too. Errors: ENOENT, EISDIR (a directory stays), EACCES. */
export function removePlace({ directory, name }: PlaceBeneath): Errno | undefined {
  return errnoUnlessZero(unlinkat(directory, name, 0))
}

/** Why a path beneath a mount was not reached, for a message. */
export function pathProblem(errno: Errno): string {
  if (errno === ELOOP || errno === ENOTDIR) return `a directory of its path was replaced (${errno.name})`
  return errno === EXDEV ? `it leads out of its mount (${errno.name})` : errno.name
}

/** Of the mount that `fd` was opened in, as /proc/self/mountinfo numbers them. */
export function mountIdOf(fd: Fd): number | undefined {
  const text = /^mnt_id:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]
  return text === undefined ? undefined : Number(text)
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory === '/' ? '/' : `${directory}/`) || path === directory
}
