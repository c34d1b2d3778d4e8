/** Owns setattr: mode, owner, times, and size by truncate and fallocate. */
import { EBUSY, EINVAL, EISDIR, EOPNOTSUPP, Errno } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import type { Inode, Timestamp } from '../state/inode.ts'
import type { Request, Volume } from '../state/volume.ts'
import { draftFreed, growMemory, memoryOf, planSize, shrinkMemory } from './resize.ts'

/** What is to change. A time that is to be "now" is given as that time. */
export interface AttributeChange {
  readonly mode?: number | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  readonly sizeBytes?: number | undefined
  readonly atime?: Timestamp | undefined
  readonly mtime?: Timestamp | undefined
  readonly ctime?: Timestamp | undefined
}

/** fallocate(2), `include/uapi/linux/falloc.h`. */
export const FALLOC_FL_KEEP_SIZE = 1
export const FALLOC_FL_PUNCH_HOLE = 2

/**
 * All in one record, or nothing. Who may do what, and that chown and write drop setuid bits, is the kernel's:
 * it asks for those changes itself (`default_permissions`, `fuse_setattr` in fs/fuse/dir.c).
 * Errors: EBUSY, ESTALE, EISDIR, EINVAL, EFBIG, ENOSPC, WAIT_FOR_ZEROING, the store's.
 */
export function setAttributes(
  volume: Volume,
  rq: Request,
  ino: Ino,
  change: AttributeChange,
): Inode | Refusal {
  const inode = volume.refusal() ?? volume.inode(ino)
  if (inode instanceof Errno) return inode
  const { sizeBytes, ...rest } = change
  const resized = sizeBytes !== undefined
  const fields: Partial<Inode> = {
    mode: (rest.mode ?? inode.mode) & 0o7777,
    uid: rest.uid ?? inode.uid,
    gid: rest.gid ?? inode.gid,
    atime: rest.atime ?? inode.atime,
    mtime: rest.mtime ?? (resized ? rq.now : inode.mtime),
    ctime: rest.ctime ?? rq.now,
  }
  if (resized) return setSize(volume, rq, inode, sizeBytes, fields)
  const draft = volume.draft()
  const changed = draft.change(inode, fields)
  return volume.commitIfRoom(rq, draft) ?? changed
}

/**
 * Blocks are promised by the pool's accounting, pages come when they are touched: nothing is populated here.
 * Mode 0 grows the file, KEEP_SIZE inside the file is done already, PUNCH_HOLE | KEEP_SIZE clears.
 * Errors: EBUSY, ESTALE, EISDIR, EINVAL, EOPNOTSUPP for other modes and for holes in guest RAM that has a device, and those of growing or of the store.
 */
export function fallocate(
  volume: Volume,
  rq: Request,
  ino: Ino,
  mode: number,
  offset: number,
  length: number,
): Refusal | undefined {
  const inode = volume.refusal() ?? volume.inode(ino)
  if (inode instanceof Errno) return inode
  if (inode.kind !== 'file') return inode.kind === 'directory' ? EISDIR : EINVAL
  if (offset < 0 || length <= 0) return EINVAL
  const end = offset + length
  if (mode === (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) return punchHole(volume, rq, inode, offset, end)
  // Blocks beyond the end of a file belong to nobody here, so none can be kept for it.
  if (mode === FALLOC_FL_KEEP_SIZE && end > inode.sizeBytes) return EOPNOTSUPP
  if (mode !== 0 && mode !== FALLOC_FL_KEEP_SIZE) return EOPNOTSUPP
  if (end <= inode.sizeBytes) return undefined
  const result = setSize(volume, rq, inode, end, { mtime: rq.now, ctime: rq.now })
  return result instanceof Refusal ? result : undefined
}

function setSize(
  volume: Volume,
  rq: Request,
  inode: Inode,
  sizeBytes: number,
  fields: Partial<Inode>,
): Inode | Refusal {
  if (inode.kind !== 'file') return inode.kind === 'directory' ? EISDIR : EINVAL
  const plan = planSize(volume, inode, sizeBytes)
  if (plan instanceof Refusal) return plan
  const draft = volume.draft()
  const changed = draft.change(inode, { ...fields, ...plan })
  draftFreed(volume, draft, inode, changed)
  const noRoom = volume.noRoomFor(draft)
  if (noRoom) return noRoom

  const grows = sizeBytes > inode.sizeBytes
  if (grows) {
    const failure = growMemory(volume, inode, changed)
    if (failure) return failure
  }
  volume.commit(rq, draft)
  if (sizeBytes < inode.sizeBytes) shrinkMemory(volume, changed)
  return changed
}

/**
 * Clears first and logs then: a crash in between leaves the file cleared and the request unanswered, so it
 * comes again and clears again. The other way round it would be taken for done.
 */
function punchHole(
  volume: Volume,
  rq: Request,
  inode: Inode,
  offset: number,
  end: number,
): Refusal | undefined {
  // Guest RAM that is not passed through has a mapping of its own, and no store reaches into it.
  if (inode.guestRam && volume.store.ram.via !== 'passthrough') return EOPNOTSUPP
  if (volume.store.state(memoryOf(inode)) === 'outgoing') return EBUSY
  const length = Math.min(end, inode.sizeBytes) - offset
  if (length <= 0) return undefined
  const draft = volume.draft()
  draft.change(inode, { mtime: rq.now, ctime: rq.now })
  const failure = volume.noRoomFor(draft) ?? volume.store.data.punchHole(memoryOf(inode), offset, length)
  if (failure) return failure
  volume.commit(rq, draft)
  return undefined
}
