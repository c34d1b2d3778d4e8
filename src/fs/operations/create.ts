/** New inodes: regular files, directories, symlinks, and what the kernel serves: fifos, sockets, devices. */
import { EMLINK, ENAMETOOLONG, ENOENT, ENOSPC, EPERM, Errno } from '../../values/errno.ts'
import type { ByteString } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import { S_ISGID } from '../../values/uapi.ts'
import type { NameAt } from '../state/entry.ts'
import type { Inode, SpecialKind } from '../state/inode.ts'
import { LINK_MAX, TARGET_MAX } from '../state/limits.ts'
import type { Transaction } from '../state/transaction.ts'
import { placeForName } from './names.ts'

/** open(O_CREAT), mknod(S_IFREG). Errors: those of `placeForName`, ENOSPC, and the store's. */
export function create(tx: Transaction, at: NameAt, mode: number): Inode | Refusal {
  const { store, settled } = tx.volume
  const directory = placeForName(tx.volume, at)
  if (directory instanceof Errno) return directory
  const object = store.create()
  if (object instanceof Refusal) return object

  const made = tx.addInode(at, 'file', { mode, object })
  const failure = made instanceof Errno ? made : tx.noRoom()
  if (made instanceof Errno || failure) {
    store.release(object)
    return failure ?? ENOSPC
  }
  tx.commit()
  settled.add(object)
  return made
}

/** Errors: those of `placeForName`, EMLINK, ENOSPC. */
export function mkdir(tx: Transaction, at: NameAt, mode: number): Inode | Errno {
  const directory = placeForName(tx.volume, at)
  if (directory instanceof Errno) return directory
  if (directory.links >= LINK_MAX) return EMLINK
  // A directory made in a setgid directory is setgid as well (mkdir(2), inode_init_owner()).
  const inherited = directory.mode & S_ISGID
  const made = tx.addInode(at, 'directory', { mode: mode | inherited, links: 2 })
  return made instanceof Errno ? made : (tx.commitIfRoom() ?? made)
}

/** Errors: those of `placeForName`, ENOENT for an empty target, ENAMETOOLONG, ENOSPC. */
export function symlink(tx: Transaction, at: NameAt, target: ByteString): Inode | Errno {
  const directory = placeForName(tx.volume, at)
  if (directory instanceof Errno) return directory
  if (target.length === 0) return ENOENT
  if (target.length > TARGET_MAX) return ENAMETOOLONG
  const made = tx.addInode(at, 'symlink', { mode: 0o777, target, sizeBytes: target.length })
  return made instanceof Errno ? made : (tx.commitIfRoom() ?? made)
}

/**
 * A fifo, a socket or a device node. The kernel checks who may make one (CAP_MKNOD, `vfs_mknod` in
 * fs/namei.c) and whether the mount lets a device be opened (`nodev`). `rdev` counts for devices alone.
 * Errors: those of `placeForName`, EPERM where the image's format version has no such inodes, ENOSPC.
 */
export function mknod(
  tx: Transaction,
  at: NameAt,
  kind: SpecialKind,
  mode: number,
  rdev: number,
): Inode | Errno {
  const { volume } = tx
  const directory = placeForName(volume, at)
  if (directory instanceof Errno) return directory
  if (volume.journal.version === 1) {
    volume.refusedByFormat++
    return EPERM
  }
  const isDevice = kind === 'character-device' || kind === 'block-device'
  const made = tx.addInode(at, kind, { mode, rdev: isDevice ? rdev : 0 })
  return made instanceof Errno ? made : (tx.commitIfRoom() ?? made)
}
