/**
 * A file of the machine that is replaced by rename(2) once it is on the disk: a reader finds the former one
 * or the new one, also after a power cut.
 */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { replaceBy, writeNewFile } from '../linux/replacement.ts'

/**
 * Hidden, so that no reader of the folder takes it for a unit or a generator. A crash may leave it, and the
 * next write of the same file removes it.
 */
const unfinished = (path: string): string => join(dirname(path), `.${basename(path)}.guestmemfs`)

/**
 * Folders are made where they are missing. Errors: Node's; the former file is there then, unless the kernel
 * has refused to sync the folder.
 */
export function writeDurably(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true })
  replaceBy(path, unfinished(path), (temporary) => writeNewFile(temporary, text, mode, true))
  syncFolder(dirname(path))
}

/** So that the rename is there after a power cut. */
function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
