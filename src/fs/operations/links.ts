/**
 * Names that are made and removed for inodes that exist: link, unlink, rmdir. An inode without a name left
 * becomes an orphan.
 */
import { EBUSY, EISDIR, EMLINK, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, Errno } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import type { NameAt } from '../state/entry.ts'
import type { Inode } from '../state/inode.ts'
import { LINK_MAX } from '../state/limits.ts'
import type { Transaction } from '../state/transaction.ts'
import type { Volume } from '../state/volume.ts'
import { named, placeForName, unfitName } from './names.ts'

/**
 * Errors: those of `placeForName`, EPERM for a directory, EMLINK, ENOENT for an inode whose last name is
 * gone, ENOSPC.
 */
export function link(tx: Transaction, ino: Ino, to: NameAt): Inode | Errno {
  const directory = placeForName(tx.volume, to)
  if (directory instanceof Errno) return directory
  const inode = tx.volume.inode(ino)
  if (inode instanceof Errno) return inode
  if (inode.kind === 'directory') return EPERM
  if (inode.links === 0) return ENOENT
  if (inode.links >= LINK_MAX) return EMLINK
  const linked = tx.change(inode, { links: inode.links + 1, ctime: tx.rq.now })
  tx.name(to, ino)
  tx.touchDirectory(directory)
  return tx.commitIfRoom() ?? linked
}

/** Errors: EBUSY, ENOENT, ENOTDIR, EISDIR, ESTALE, EINVAL, ENAMETOOLONG, ENOSPC. */
export function unlink(tx: Transaction, at: NameAt): Errno | undefined {
  const found = findName(tx.volume, at)
  if (found instanceof Errno) return found
  if (found.inode.kind === 'directory') return EISDIR
  tx.unlink(found.inode)
  tx.removeName(at)
  tx.touchDirectory(found.directory)
  return tx.commitIfRoom()
}

/** Errors: EBUSY, ENOENT, ENOTDIR, ENOTEMPTY, ESTALE, EINVAL, ENAMETOOLONG, ENOSPC. */
export function rmdir(tx: Transaction, at: NameAt): Errno | undefined {
  const found = findName(tx.volume, at)
  if (found instanceof Errno) return found
  if (found.inode.kind !== 'directory') return ENOTDIR
  if (tx.volume.state.directories.has(found.inode.ino)) return ENOTEMPTY
  tx.unlink(found.inode)
  tx.removeName(at)
  tx.touchDirectory(found.directory, -1)
  return tx.commitIfRoom()
}

/** A name that is to be removed, and the directory it is in. */
function findName(volume: Volume, { parent, name }: NameAt): { directory: Inode; inode: Inode } | Errno {
  if (volume.frozen) return EBUSY
  const directory = volume.directory(parent)
  if (directory instanceof Errno) return directory
  const unfit = unfitName(name)
  if (unfit) return unfit
  const inode = named(volume, parent, name)
  return inode ? { directory, inode } : ENOENT
}
