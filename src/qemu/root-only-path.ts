/**
 * Paths that only root can change. The QEMU of a guest of root's opens its RAM file by path, as root, at each
 * start: another user who can change a directory of the path could make QEMU open any file.
 */
import { lstatSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { UsageError } from '../values/errors.ts'

const OTHERS_MAY_WRITE = 0o022
const S_ISVTX = 0o1000

/**
 * Checks the directories from `mountPoint` down to the one of the file. Errors (UsageError): a user other
 * than root can change one.
 */
export function checkRootOnlyPath(path: string, mountPoint: string): void {
  for (let at = dirname(path); at.length >= mountPoint.length; at = dirname(at)) {
    const stat = lstatSync(at, { throwIfNoEntry: false })
    // QEMU, or `prepareRamFile`, reports that it is missing.
    if (stat === undefined) return
    if (!isRootOnly(stat))
      throw new UsageError(
        `QEMU would open ${path} as root, and others than root can change ${at}: give --user, or put the guest's RAM elsewhere`,
      )
    if (at === '/') return
  }
}

/** Whether only root can replace `directory` and every one above it, and none of them is a symlink. */
export function isRootOnlyPath(directory: string): boolean {
  for (let at = directory; ; at = dirname(at)) {
    const stat = lstatSync(at, { throwIfNoEntry: false })
    if (stat === undefined || !stat.isDirectory() || !isRootOnly(stat)) return false
    if (at === dirname(at)) return true
  }
}

/** Whether only root can change it, or, in a directory with the sticky bit, the names of root's files. */
export const isRootOnly = ({ uid, mode }: Stats): boolean =>
  uid === 0 && ((mode & OTHERS_MAY_WRITE) === 0 || (mode & S_ISVTX) !== 0)
