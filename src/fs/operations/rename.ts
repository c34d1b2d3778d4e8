/**
 * Owns rename, the operation with the most rules: rename(2), and the checks of the kernel's `vfs_rename` and
 * `do_renameat2` (fs/namei.c) in their order, because two racing requests may both have passed the kernel's.
 */
import { EEXIST, EINVAL, EISDIR, EMLINK, ENOENT, ENOTDIR, ENOTEMPTY, Errno } from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import type { Inode } from '../state/inode.ts'
import { LINK_MAX } from '../state/limits.ts'
import type { Request, Volume } from '../state/volume.ts'
import { liesWithin, named, unfitName } from './names.ts'

/** `include/uapi/linux/fs.h`. RENAME_WHITEOUT (4) would need a device node. */
export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2

/** One side of a rename: a name in a directory and what it stands for. */
interface Side {
  readonly directory: Inode
  readonly name: ByteString
  readonly inode: Inode
}

/**
 * Errors: EBUSY, EINVAL (flags, a directory into itself), ENOENT, EEXIST, EISDIR, ENOTDIR, ENOTEMPTY, EMLINK,
 * ENAMETOOLONG, ESTALE, ENOSPC.
 */
export function rename(
  volume: Volume,
  rq: Request,
  parent: Ino,
  name: ByteString,
  newParent: Ino,
  newName: ByteString,
  flags: number,
): Errno | undefined {
  const refusal = volume.refusal() ?? unfitName(name) ?? unfitName(newName)
  if (refusal) return refusal
  if (flags !== 0 && flags !== RENAME_NOREPLACE && flags !== RENAME_EXCHANGE) return EINVAL
  const directory = volume.directory(parent)
  if (directory instanceof Errno) return directory
  const newDirectory = volume.liveDirectory(newParent)
  if (newDirectory instanceof Errno) return newDirectory
  const inode = named(volume, parent, name)
  if (!inode) return ENOENT
  const target = named(volume, newParent, newName)

  if (inode.kind === 'directory' && liesWithin(volume, newParent, inode.ino)) return EINVAL
  const from = { directory, name, inode }
  if (flags === RENAME_EXCHANGE) {
    if (!target) return ENOENT
    return exchange(volume, rq, from, { directory: newDirectory, name: newName, inode: target })
  }
  if (flags === RENAME_NOREPLACE && target) return EEXIST
  return move(volume, rq, from, { directory: newDirectory, name: newName, target })
}

function exchange(volume: Volume, rq: Request, a: Side, b: Side): Errno | undefined {
  if (a.inode.ino === b.inode.ino) return undefined
  if (b.inode.kind === 'directory' && liesWithin(volume, a.directory.ino, b.inode.ino)) return EINVAL
  const [aLinks, bLinks] = [subdirectory(a.inode), subdirectory(b.inode)]
  const crosses = a.directory.ino !== b.directory.ino
  if (crosses && bLinks > aLinks && a.directory.links >= LINK_MAX) return EMLINK
  if (crosses && aLinks > bLinks && b.directory.links >= LINK_MAX) return EMLINK

  const draft = volume.draft()
  draft.change(a.inode, { ctime: rq.now })
  draft.change(b.inode, { ctime: rq.now })
  draft.name(a.directory.ino, a.name, b.inode.ino)
  draft.name(b.directory.ino, b.name, a.inode.ino)
  draft.touchDirectory(a.directory, rq.now, bLinks - aLinks)
  draft.touchDirectory(b.directory, rq.now, aLinks - bLinks)
  return volume.commitIfRoom(rq, draft)
}

function move(
  volume: Volume,
  rq: Request,
  from: Side,
  to: { directory: Inode; name: ByteString; target: Inode | undefined },
): Errno | undefined {
  const { inode } = from
  const { target } = to
  // Two names of one file: POSIX wants nothing done, and success.
  if (target?.ino === inode.ino) return undefined
  if (target) {
    if (inode.kind === 'directory' && target.kind !== 'directory') return ENOTDIR
    if (inode.kind !== 'directory' && target.kind === 'directory') return EISDIR
    // Also the answer when the target is an ancestor of the source: it is not empty.
    if (volume.state.directories.has(target.ino)) return ENOTEMPTY
  }
  const comes = subdirectory(inode) - (target ? subdirectory(target) : 0)
  if (comes > 0 && from.directory.ino !== to.directory.ino && to.directory.links >= LINK_MAX) return EMLINK

  const draft = volume.draft()
  draft.change(inode, { ctime: rq.now })
  if (target) draft.unlink(target, rq.now)
  draft.removeName(from.directory.ino, from.name)
  draft.name(to.directory.ino, to.name, inode.ino)
  draft.touchDirectory(from.directory, rq.now, -subdirectory(inode))
  draft.touchDirectory(to.directory, rq.now, comes)
  return volume.commitIfRoom(rq, draft)
}

/** What an inode adds to the link count of the directory it lies in: its `..`. */
const subdirectory = (inode: Inode): number => (inode.kind === 'directory' ? 1 : 0)
