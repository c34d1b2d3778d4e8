/** The rule which names may be made, and the lookup of inodes by name. */
import { EEXIST, EINVAL, ENAMETOOLONG, ENOENT, Errno } from '../../values/errno.ts'
import { type ByteString, type Ino, ROOT_INO } from '../../values/ids.ts'
import type { NameAt } from '../state/entry.ts'
import type { Inode } from '../state/inode.ts'
import { NAME_MAX } from '../state/limits.ts'
import type { Volume } from '../state/volume.ts'

const DOT = '.' as ByteString
const DOT_DOT = '..' as ByteString

/**
 * The kernel resolves `.`, `..` and `/` itself; a request that names them anyway did not come from a path
 * walk.
 */
export function unfitName(name: ByteString): Errno | undefined {
  if (name.length > NAME_MAX) return ENAMETOOLONG
  if (name === '' || name === DOT || name === DOT_DOT || /[/\0]/.test(name)) return EINVAL
  return undefined
}

/** Errors: ENOENT, ENOTDIR, ENAMETOOLONG, ESTALE. */
export function lookup(volume: Volume, parent: Ino, name: ByteString): Inode | Errno {
  const directory = volume.directory(parent)
  if (directory instanceof Errno) return directory
  if (name === DOT) return directory
  if (name === DOT_DOT) {
    const up = parentOf(volume, parent)
    return up instanceof Errno ? up : volume.inode(up)
  }
  if (name.length > NAME_MAX) return ENAMETOOLONG
  return named(volume, parent, name) ?? ENOENT
}

/** The inode of a name in a directory that the caller has checked. */
export function named(volume: Volume, parent: Ino, name: ByteString): Inode | undefined {
  const entry = volume.state.directories.get(parent)?.get(name)
  return entry && volume.state.inodes.get(entry.ino)
}

/**
 * The directory a directory lies in; the root lies in itself. Errors: ENOTDIR, ESTALE; ENOENT when it was
 * removed.
 */
export function parentOf(volume: Volume, ino: Ino): Ino | Errno {
  const directory = volume.directory(ino)
  if (directory instanceof Errno) return directory
  return ino === ROOT_INO ? ROOT_INO : (volume.index.nameOf(ino)?.parent ?? ENOENT)
}

/** True when `ino` is `ancestor` or lies below it. Costs the depth. */
export function liesWithin(volume: Volume, ino: Ino, ancestor: Ino): boolean {
  for (let at: Ino | undefined = ino; at !== undefined; at = volume.index.nameOf(at)?.parent)
    if (at === ancestor) return true
  return false
}

/**
 * Where a new name may be put: the directory, or why not. Errors: EBUSY, ENOTDIR, ENOENT, ESTALE, EINVAL,
 * ENAMETOOLONG, EEXIST.
 */
export function placeForName(volume: Volume, { parent, name }: NameAt): Inode | Errno {
  const refusal = volume.refusal() ?? unfitName(name)
  if (refusal) return refusal
  const directory = volume.liveDirectory(parent)
  if (directory instanceof Errno) return directory
  return named(volume, parent, name) ? EEXIST : directory
}
