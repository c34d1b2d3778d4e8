/** Owns names that come and go for inodes that exist: link, unlink, rmdir. What has no name left becomes an orphan. */
import { EBUSY, EISDIR, EMLINK, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, Errno } from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { Inode } from '../state/inode.ts'
import { LINK_MAX } from '../state/limits.ts'
import type { Request, Volume } from '../state/volume.ts'
import { named, placeForName, unfitName } from './names.ts'

/** Errors: those of `placeForName`, EPERM for a directory, EMLINK, ENOENT for an inode whose last name is gone, ENOSPC. */
export function link(
  volume: Volume,
  rq: Request,
  ino: Ino,
  newParent: Ino,
  newName: ByteString,
): Inode | Errno {
  const directory = placeForName(volume, newParent, newName)
  if (directory instanceof Errno) return directory
  const inode = volume.inode(ino)
  if (inode instanceof Errno) return inode
  if (inode.kind === 'directory') return EPERM
  if (inode.links === 0) return ENOENT
  if (inode.links >= LINK_MAX) return EMLINK
  const draft = volume.draft()
  const linked = draft.change(inode, { links: inode.links + 1, ctime: rq.now })
  draft.name(newParent, newName, ino)
  draft.touchDirectory(directory, rq.now)
  return volume.commitIfRoom(rq, draft) ?? linked
}

/** Errors: EBUSY, ENOENT, ENOTDIR, EISDIR, ESTALE, EINVAL, ENAMETOOLONG, ENOSPC. */
export function unlink(volume: Volume, rq: Request, parent: Ino, name: ByteString): Errno | undefined {
  const found = findName(volume, parent, name)
  if (found instanceof Errno) return found
  if (found.inode.kind === 'directory') return EISDIR
  const draft = volume.draft()
  draft.unlink(found.inode, rq.now)
  draft.removeName(parent, name)
  draft.touchDirectory(found.directory, rq.now)
  return volume.commitIfRoom(rq, draft)
}

/** Errors: EBUSY, ENOENT, ENOTDIR, ENOTEMPTY, ESTALE, EINVAL, ENAMETOOLONG, ENOSPC. */
export function rmdir(volume: Volume, rq: Request, parent: Ino, name: ByteString): Errno | undefined {
  const found = findName(volume, parent, name)
  if (found instanceof Errno) return found
  if (found.inode.kind !== 'directory') return ENOTDIR
  if (volume.state.directories.has(found.inode.ino)) return ENOTEMPTY
  const draft = volume.draft()
  draft.unlink(found.inode, rq.now)
  draft.removeName(parent, name)
  draft.touchDirectory(found.directory, rq.now, -1)
  return volume.commitIfRoom(rq, draft)
}

/** A name that is to be taken away, and the directory it is in. */
function findName(volume: Volume, parent: Ino, name: ByteString): { directory: Inode; inode: Inode } | Errno {
  if (volume.frozen) return EBUSY
  const directory = volume.directory(parent)
  if (directory instanceof Errno) return directory
  const unfit = unfitName(name)
  if (unfit) return unfit
  const inode = named(volume, parent, name)
  return inode ? { directory, inode } : ENOENT
}
