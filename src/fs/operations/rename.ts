/**
 * rename, the operation with the most rules: rename(2), and the checks of the kernel's `vfs_rename` and
 * `do_renameat2` (fs/namei.c) in their order, because two racing requests may both have passed the kernel's.
 */
import { EEXIST, EINVAL, EISDIR, EMLINK, ENOENT, ENOTDIR, ENOTEMPTY, Errno } from '../../values/errno.ts'
import type { NameAt } from '../state/entry.ts'
import type { Inode } from '../state/inode.ts'
import { LINK_MAX } from '../state/limits.ts'
import type { Transaction } from '../state/transaction.ts'
import { liesWithin, named, unfitName } from './names.ts'

/**
 * `include/uapi/linux/fs.h`. A whiteout is a character device 0:0, as overlayfs has it in its upper layer.
 */
export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2
export const RENAME_WHITEOUT = 4

/** One side of a rename: a name in a directory and what it stands for. */
interface Side {
  readonly at: NameAt
  readonly directory: Inode
  readonly inode: Inode
}

/**
 * Errors: EBUSY, EINVAL (flags, a directory into itself), ENOENT, EEXIST, EISDIR, ENOTDIR, ENOTEMPTY, EMLINK,
 * ENAMETOOLONG, ESTALE, ENOSPC.
 */
export function rename(tx: Transaction, from: NameAt, to: NameAt, flags: number): Errno | undefined {
  const { volume } = tx
  const refusal = volume.refusal() ?? unfitName(from.name) ?? unfitName(to.name)
  if (refusal) return refusal
  const leavesWhiteout = (flags & RENAME_WHITEOUT) !== 0
  const others = flags & ~RENAME_WHITEOUT
  if (others !== 0 && others !== RENAME_NOREPLACE && flags !== RENAME_EXCHANGE) return EINVAL
  if (leavesWhiteout && volume.journal.version === 1) {
    volume.refusedByFormat++
    return EINVAL
  }
  const directory = volume.directory(from.parent)
  if (directory instanceof Errno) return directory
  const newDirectory = volume.liveDirectory(to.parent)
  if (newDirectory instanceof Errno) return newDirectory
  const inode = named(volume, from.parent, from.name)
  if (!inode) return ENOENT
  const target = named(volume, to.parent, to.name)

  if (inode.kind === 'directory' && liesWithin(volume, to.parent, inode.ino)) return EINVAL
  const source = { at: from, directory, inode }
  if (flags === RENAME_EXCHANGE) {
    if (!target) return ENOENT
    return exchange(tx, source, { at: to, directory: newDirectory, inode: target })
  }
  if (others === RENAME_NOREPLACE && target) return EEXIST
  return move(tx, source, { at: to, directory: newDirectory, target }, leavesWhiteout)
}

function exchange(tx: Transaction, a: Side, b: Side): Errno | undefined {
  if (a.inode.ino === b.inode.ino) return undefined
  if (b.inode.kind === 'directory' && liesWithin(tx.volume, a.directory.ino, b.inode.ino)) return EINVAL
  const [aLinks, bLinks] = [subdirectory(a.inode), subdirectory(b.inode)]
  const crosses = a.directory.ino !== b.directory.ino
  if (crosses && bLinks > aLinks && a.directory.links >= LINK_MAX) return EMLINK
  if (crosses && aLinks > bLinks && b.directory.links >= LINK_MAX) return EMLINK

  const { now } = tx.rq
  tx.change(a.inode, { ctime: now })
  tx.change(b.inode, { ctime: now })
  tx.name(a.at, b.inode.ino)
  tx.name(b.at, a.inode.ino)
  tx.touchDirectory(a.directory, bLinks - aLinks)
  tx.touchDirectory(b.directory, aLinks - bLinks)
  return tx.commitIfRoom()
}

function move(
  tx: Transaction,
  from: Side,
  to: Omit<Side, 'inode'> & { readonly target: Inode | undefined },
  leavesWhiteout: boolean,
): Errno | undefined {
  const { inode } = from
  const { target } = to
  // Two names of one file: POSIX requires success, and that nothing changes.
  if (target?.ino === inode.ino) return undefined
  if (target) {
    if (inode.kind === 'directory' && target.kind !== 'directory') return ENOTDIR
    if (inode.kind !== 'directory' && target.kind === 'directory') return EISDIR
    // Also the answer when the target is an ancestor of the source: it is not empty.
    if (tx.volume.state.directories.has(target.ino)) return ENOTEMPTY
  }
  const comes = subdirectory(inode) - (target ? subdirectory(target) : 0)
  if (comes > 0 && from.directory.ino !== to.directory.ino && to.directory.links >= LINK_MAX) return EMLINK

  tx.change(inode, { ctime: tx.rq.now })
  if (target) tx.unlink(target)
  const whiteout = leavesWhiteout ? tx.addInode(from.at, 'character-device', {}) : tx.removeName(from.at)
  if (whiteout instanceof Errno) return whiteout
  tx.name(to.at, inode.ino)
  tx.touchDirectory(from.directory, -subdirectory(inode))
  tx.touchDirectory(to.directory, comes)
  return tx.commitIfRoom()
}

/** What an inode adds to the link count of the directory it lies in: its `..`. */
const subdirectory = (inode: Inode): number => (inode.kind === 'directory' ? 1 : 0)
