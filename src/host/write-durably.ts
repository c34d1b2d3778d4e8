/**
 * A file of the machine that is replaced by rename(2) once it is on the disk: a reader finds the former one
 * or the new one, also after a power cut.
 */
import { closeSync, fchmodSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Hidden, so that no reader of the folder takes it for a unit or a generator. A crash may leave it. */
const unfinished = (path: string): string => join(dirname(path), `.${basename(path)}.guestmemfs`)

/** Folders are made where they are missing. Errors: Node's. */
export function writeDurably(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true })
  const fd = openSync(unfinished(path), 'w', 0o600)
  try {
    writeSync(fd, text)
    fchmodSync(fd, mode)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(unfinished(path), path)
}
