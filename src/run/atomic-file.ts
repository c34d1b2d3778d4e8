/**
 * A small file that is replaced by rename: its reader never sees half of it, and a killed writer leaves the
 * former one.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { errnoOfNodeError } from '../linux/library.ts'
import { ENOSPC } from '../values/errno.ts'

/** `mode`: who may read it. Errors: Node's, of the file system; then the former file is there. */
export function replaceFile(path: string, text: string, mode: number): void {
  try {
    writeFileSync(`${path}.new`, text, { mode })
    renameSync(`${path}.new`, path)
  } catch (error) {
    rmSync(`${path}.new`, { force: true })
    throw error
  }
}

/**
 * As `replaceFile`; where the file system is full, the text is written over the former one, whose page tmpfs
 * does not take again, with spaces up to its length. For a file whose reader ignores spaces at the end, and
 * treats half a text as none. Errors: Node's.
 */
export function replaceFileWhenFull(path: string, text: string, mode: number): void {
  try {
    replaceFile(path, text, mode)
  } catch (error) {
    if (errnoOfNodeError(error) !== ENOSPC || !existsSync(path)) throw error
    const fd = openSync(path, 'r+')
    try {
      const spare = fstatSync(fd).size - Buffer.byteLength(text)
      writeSync(fd, text + ' '.repeat(Math.max(0, spare)), 0)
    } finally {
      closeSync(fd)
    }
  }
}
