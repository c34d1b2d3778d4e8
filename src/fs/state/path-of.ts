/** Owns finding a path of a file that only its inode number is known of. */
import { type Ino, printable, ROOT_INO } from '../../values/ids.ts'
import type { DirectoryEntry } from './directory.ts'
import type { Volume } from './volume.ts'

/** A path from the mount point, without a leading slash; undefined for an orphan. */
export function pathOf(volume: Volume, ino: Ino): string | undefined {
  const names: string[] = []
  for (let at = ino; at !== ROOT_INO; ) {
    const entry = volume.index.nameOf(at) ?? searchName(volume, at)
    if (!entry) return undefined
    names.unshift(printable(entry.name))
    at = entry.parent
  }
  return names.join('/')
}

/**
 * The index knows one name of a file; when that one went and others stayed, only the directories know them.
 */
function searchName(volume: Volume, ino: Ino): DirectoryEntry | undefined {
  if (!volume.state.inodes.get(ino)?.links) return undefined
  for (const directory of volume.state.directories.values())
    for (const entry of directory.values()) if (entry.ino === ino) return entry
  return undefined
}
