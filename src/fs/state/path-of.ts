/** A path of the file with a given inode number. */
import { type Ino, printable, ROOT_INO } from '../../values/ids.ts'
import type { Volume } from './volume.ts'

/** A path from the mount point, without a leading slash; undefined for an orphan. Costs the depth. */
export function pathOf(volume: Volume, ino: Ino): string | undefined {
  const names: string[] = []
  for (let at = ino; at !== ROOT_INO; ) {
    const entry = volume.index.nameOf(at)
    if (!entry) return undefined
    names.unshift(printable(entry.name))
    at = entry.parent
  }
  return names.join('/')
}
