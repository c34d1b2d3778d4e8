/**
 * The way to the RAM of a guest of root's. Its QEMU opens the file by its path, as root, each time it starts:
 * another user who can change a directory on the way could lead it anywhere.
 */
import { lstatSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { UsageError } from '../values/errors.ts'

const OTHERS_MAY_WRITE = 0o022
const S_ISVTX = 0o1000

/**
 * Looks at the directories from `mountPoint` down to the file's own. In a shared one with the sticky bit a
 * name of root's stays root's. Errors (UsageError): one can be changed by others than root.
 */
export function checkRootsWay(path: string, mountPoint: string): void {
  for (let at = dirname(path); at.length >= mountPoint.length; at = dirname(at)) {
    const stat = lstatSync(at, { throwIfNoEntry: false })
    // QEMU or the making of the file says that it is missing.
    if (stat === undefined) return
    if (!isRoots(stat))
      throw new UsageError(
        `QEMU would open ${path} as root, and others than root can change ${at}: give --user, or put the guest's RAM elsewhere`,
      )
    if (at === '/') return
  }
}

/** Whether `directory` and every one above it are root's alone, and no name on the way is a symlink. */
export function isRootsAlone(directory: string): boolean {
  for (let at = directory; ; at = dirname(at)) {
    const stat = lstatSync(at, { throwIfNoEntry: false })
    if (stat === undefined || !stat.isDirectory() || !isRoots(stat)) return false
    if (at === dirname(at)) return true
  }
}

/** Whether no user but root can put something else in its place, or into it. */
export const isRoots = ({ uid, mode }: Stats): boolean =>
  uid === 0 && ((mode & OTHERS_MAY_WRITE) === 0 || (mode & S_ISVTX) !== 0)
