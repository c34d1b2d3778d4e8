/** The owner and mode of a new pool's root directory, as `mode=`, `uid=` and `gid=` of its mount set them. */
import type { FileSystem } from '../fs/file-system.ts'
import { ROOT_INO } from '../values/ids.ts'
import { wallClock } from './context.ts'
import type { RootDirectory } from './messages.ts'

/**
 * Sets what the mount asked for where the pool holds nothing, be it new or emptied. Any other root directory
 * has the mode that it was given, by a mount or by chmod(1), and keeps it. `epoch`: that of the last record;
 * the epoch of the next connection must be higher.
 */
export function setRootDirectory(
  fs: FileSystem,
  { mode, uid, gid }: RootDirectory,
  { epoch }: { epoch: number },
): void {
  const { files, freeFiles } = fs.statfs()
  if (files - freeFiles > 1) return
  if (mode === undefined && uid === undefined && gid === undefined) return
  const rq = { origin: { unique: 0n, epoch }, uid: 0, gid: 0, now: wallClock() }
  fs.setAttributes(rq, ROOT_INO, { mode, uid, gid })
}
