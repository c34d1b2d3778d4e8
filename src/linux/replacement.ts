/**
 * A file that is made beside the one whose place it takes by rename(2): a reader finds the former one or the
 * new one, never half of it, also where the writer was killed. Must not: choose the name beside it.
 */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/**
 * `make` makes the file `temporary`, which takes the place of the one at `path`; it is in the same file
 * system. What a killed writer left under that name is removed first. Errors: Node's, and those of `make`;
 * the former file is there then, and none beside it.
 */
export function replaceBy(path: string, temporary: string, make: (temporary: string) => void): void {
  // It may be a dangling symlink by now.
  rmSync(temporary, { force: true })
  try {
    make(temporary)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/**
 * Writes a file that was not there (O_CREAT | O_EXCL: no symlink is followed), which only its owner may open
 * until it has all of `text`, and `mode` from then on, whatever the umask. `isSynced`: it is on the disk when
 * this returns; its name is only once the folder is synced. Errors: Node's, EEXIST among them; a file that is
 * cut short may be left.
 */
export function writeNewFile(path: string, text: string, mode: number, isSynced = false): void {
  const fd = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(fd, text)
    fchmodSync(fd, mode)
    if (isSynced) fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
