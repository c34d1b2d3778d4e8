/**
 * A small file that is replaced by rename: its reader never sees half of it, and a killed writer leaves the
 * former one.
 */
import { renameSync, writeFileSync } from 'node:fs'

/** `mode`: who may read it. Errors: Node's, of the file system. */
export function replaceFile(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode })
  renameSync(`${path}.new`, path)
}
