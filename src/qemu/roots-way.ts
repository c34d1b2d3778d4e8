/**
 * The check of the path to the RAM of a guest of root's. Its QEMU opens the file by that path, as root, at
 * each start: another user who can change a directory of the path could make it open any file.
 */
import { lstatSync, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import { UsageError } from '../values/errors.ts'

const OTHERS_MAY_WRITE = 0o022
const S_ISVTX = 0o1000

/**
 * Checks the directories from `mountPoint` down to the file's own. In a shared one with the sticky bit only
 * root can replace a name of root's. Errors (UsageError): one can be changed by others than root.
 */
export function checkRootsWay(path: string, mountPoint: string): void {
  for (let at = dirname(path); at.length >= mountPoint.length; at = dirname(at)) {
    const stat = lstatSync(at, { throwIfNoEntry: false })
    // QEMU, or `prepareRamFile`, reports that it is missing.
    if (stat === undefined) return
    if (!isRoots(stat))
      throw new UsageError(
        `QEMU would open ${path} as root, and others than root can change ${at}: give --user, or put the guest's RAM elsewhere`,
      )
    if (at === '/') return
  }
}

/** Whether only root can replace `directory` and every one above it, and none of them is a symlink. */
export function isRootsAlone(directory: string): boolean {
  for (let at = directory; ; at = dirname(at)) {
    const stat = lstatSync(at, { throwIfNoEntry: false })
    if (stat === undefined || !stat.isDirectory() || !isRoots(stat)) return false
    if (at === dirname(at)) return true
  }
}

/** Whether no user but root can replace or change it; in a directory with the sticky bit, names of root's. */
export const isRoots = ({ uid, mode }: Stats): boolean =>
  uid === 0 && ((mode & OTHERS_MAY_WRITE) === 0 || (mode & S_ISVTX) !== 0)
