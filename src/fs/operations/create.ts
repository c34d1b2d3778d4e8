/** Owns new inodes: regular files, directories, symlinks. Device nodes, fifos and sockets never get here. */
import { EMLINK, ENAMETOOLONG, ENOENT, ENOSPC, Errno } from '../../values/errno.ts'
import type { ByteString, Ino } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import type { Draft } from '../state/draft.ts'
import type { FileKind, Inode } from '../state/inode.ts'
import { INO_MAX, LINK_MAX, TARGET_MAX } from '../state/limits.ts'
import type { Request, Volume } from '../state/volume.ts'
import { placeForName } from './names.ts'

const S_ISGID = 0o2000
const NOTHING = '' as ByteString

/** open(O_CREAT), mknod(S_IFREG). Errors: those of `placeForName`, ENOSPC, and the store's. */
export function create(
  volume: Volume,
  rq: Request,
  parent: Ino,
  name: ByteString,
  mode: number,
): Inode | Refusal {
  const directory = placeForName(volume, parent, name)
  if (directory instanceof Errno) return directory
  const memory = volume.store.create()
  if (memory instanceof Refusal) return memory

  const draft = volume.draft()
  const made = draftInode(volume, rq, draft, directory, name, 'file', { mode, object: memory })
  const failure = made instanceof Errno ? made : volume.noRoomFor(draft)
  if (made instanceof Errno || failure) {
    volume.store.release(memory)
    return failure ?? ENOSPC
  }
  volume.commit(rq, draft)
  volume.settled.add(memory)
  return made
}

/** Errors: those of `placeForName`, EMLINK, ENOSPC. */
export function mkdir(
  volume: Volume,
  rq: Request,
  parent: Ino,
  name: ByteString,
  mode: number,
): Inode | Errno {
  const directory = placeForName(volume, parent, name)
  if (directory instanceof Errno) return directory
  if (directory.links >= LINK_MAX) return EMLINK
  // A directory made in a setgid directory is setgid as well (mkdir(2), inode_init_owner()).
  const inherited = directory.mode & S_ISGID
  const draft = volume.draft()
  const fields = { mode: mode | inherited, links: 2 }
  const made = draftInode(volume, rq, draft, directory, name, 'directory', fields)
  return made instanceof Errno ? made : (volume.commitIfRoom(rq, draft) ?? made)
}

/** Errors: those of `placeForName`, ENOENT for an empty target, ENAMETOOLONG, ENOSPC. */
export function symlink(
  volume: Volume,
  rq: Request,
  parent: Ino,
  name: ByteString,
  target: ByteString,
): Inode | Errno {
  const directory = placeForName(volume, parent, name)
  if (directory instanceof Errno) return directory
  if (target === NOTHING) return ENOENT
  if (target.length > TARGET_MAX) return ENAMETOOLONG
  const draft = volume.draft()
  const fields = { mode: 0o777, target, sizeBytes: target.length }
  const made = draftInode(volume, rq, draft, directory, name, 'symlink', fields)
  return made instanceof Errno ? made : (volume.commitIfRoom(rq, draft) ?? made)
}

function draftInode(
  volume: Volume,
  { uid, gid, now }: Request,
  draft: Draft,
  directory: Inode,
  name: ByteString,
  kind: FileKind,
  fields: Partial<Inode>,
): Inode | Errno {
  const ino = volume.index.nextIno()
  if (ino > INO_MAX) return ENOSPC
  const inode = draft.add({
    ino,
    kind,
    uid,
    gid: directory.mode & S_ISGID ? directory.gid : gid,
    links: 1,
    sizeBytes: 0,
    atime: now,
    mtime: now,
    ctime: now,
    object: undefined,
    extents: [],
    guestRam: false,
    gigantic: false,
    target: NOTHING,
    ...fields,
    mode: (fields.mode ?? 0) & 0o7777,
  })
  draft.name(directory.ino, name, ino)
  draft.touchDirectory(directory, now, kind === 'directory' ? 1 : 0)
  return inode
}
