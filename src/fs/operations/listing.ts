/** readdir and readlink. */
import { EINVAL, Errno } from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { FileKind } from '../state/inode.ts'
import type { Volume } from '../state/volume.ts'
import { parentOf } from './names.ts'

/** `cookie` is where a listing goes on after this name. */
export interface ListedName {
  readonly name: ByteString
  readonly ino: Ino
  readonly kind: FileKind
  readonly cookie: number
}

const DOT_COOKIE = 1
const DOT_DOT_COOKIE = 2

/**
 * The names after `cookie` (0 begins), `.` and `..` first. Lazy: names may be added and removed meanwhile,
 * and one that stays is listed exactly once. A removed directory lists nothing. Errors: ESTALE, ENOTDIR.
 */
export function readDirectory(volume: Volume, ino: Ino, cookie: number): Iterable<ListedName> | Errno {
  const directory = volume.directory(ino)
  return directory instanceof Errno ? directory : list(volume, ino, cookie)
}

function* list(volume: Volume, ino: Ino, cookie: number): IterableIterator<ListedName> {
  const parent = parentOf(volume, ino)
  if (parent instanceof Errno) return
  const dot = { ino, name: '.' as ByteString, kind: 'directory', cookie: DOT_COOKIE } as const
  const dotDot = { ino: parent, name: '..' as ByteString, kind: 'directory', cookie: DOT_DOT_COOKIE } as const
  if (cookie < DOT_COOKIE) yield dot
  if (cookie < DOT_DOT_COOKIE) yield dotDot
  for (const entry of volume.state.directories.get(ino)?.after(cookie) ?? []) {
    const inode = volume.state.inodes.get(entry.ino)
    if (inode) yield { name: entry.name, ino: entry.ino, kind: inode.kind, cookie: entry.cookie }
  }
}

/** Errors: ESTALE; EINVAL for what is no symlink. */
export function readlink(volume: Volume, ino: Ino): ByteString | Errno {
  const inode = volume.inode(ino)
  if (inode instanceof Errno) return inode
  return inode.kind === 'symlink' ? inode.target : EINVAL
}
