/** setattr: mode, owner, times, and size by truncate and fallocate. */
import { EBUSY, EINVAL, EISDIR, EOPNOTSUPP, Errno } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import { Refusal } from '../../values/refusal.ts'
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, PERMISSION_BITS } from '../../values/uapi.ts'
import { type Inode, objectOf, type Timestamp } from '../state/inode.ts'
import type { Transaction } from '../state/transaction.ts'
import { growObject, markFreedDirty, planSize, shrinkObject } from './resize.ts'

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

/**
 * All in one record, or nothing. The kernel checks permissions (`default_permissions`) and, where chown,
 * truncate or fallocate drops set-id bits, sends the new mode itself (`fuse_setattr` in fs/fuse/dir.c).
 * Errors: EBUSY, ESTALE, EISDIR, EINVAL, EFBIG, ENOSPC, WAIT_FOR_ZEROING, the store's.
 */
export function setAttributes(tx: Transaction, ino: Ino, change: AttributeChange): Inode | Refusal {
  const { volume, rq } = tx
  const inode = volume.refusal() ?? volume.inode(ino)
  if (inode instanceof Errno) return inode
  const { sizeBytes, ...rest } = change
  const resized = sizeBytes !== undefined
  const fields: Partial<Inode> = {
    mode: (rest.mode ?? inode.mode) & PERMISSION_BITS,
    uid: rest.uid ?? inode.uid,
    gid: rest.gid ?? inode.gid,
    atime: rest.atime ?? inode.atime,
    mtime: rest.mtime ?? (resized ? rq.now : inode.mtime),
    ctime: rest.ctime ?? rq.now,
  }
  if (resized) return setSize(tx, inode, sizeBytes, fields)
  const changed = tx.change(inode, fields)
  return tx.commitIfRoom() ?? changed
}

/**
 * The pool's accounting reserves the blocks; nothing is populated here, because the kernel adds a page when
 * it is touched. Mode 0 grows the file, KEEP_SIZE inside the file changes nothing, PUNCH_HOLE | KEEP_SIZE
 * clears.
 * Errors: EBUSY, ESTALE, EISDIR, EINVAL, EOPNOTSUPP for other modes and for holes in guest RAM that has a
 * device, and those of growing or of the store.
 */
export function fallocate(
  tx: Transaction,
  ino: Ino,
  mode: number,
  offset: number,
  length: number,
): Refusal | undefined {
  const { volume, rq } = tx
  const inode = volume.refusal() ?? volume.inode(ino)
  if (inode instanceof Errno) return inode
  if (inode.kind !== 'file') return inode.kind === 'directory' ? EISDIR : EINVAL
  if (offset < 0 || length <= 0) return EINVAL
  const end = offset + length
  if (mode === (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) return punchHole(tx, inode, offset, end)
  // A file owns no blocks beyond its end here, so none can be reserved for it there.
  if (mode === FALLOC_FL_KEEP_SIZE && end > inode.sizeBytes) return EOPNOTSUPP
  if (mode !== 0 && mode !== FALLOC_FL_KEEP_SIZE) return EOPNOTSUPP
  if (end <= inode.sizeBytes) return undefined
  const result = setSize(tx, inode, end, { mtime: rq.now, ctime: rq.now })
  return result instanceof Refusal ? result : undefined
}

function setSize(tx: Transaction, inode: Inode, sizeBytes: number, fields: Partial<Inode>): Inode | Refusal {
  const { volume } = tx
  if (inode.kind !== 'file') return inode.kind === 'directory' ? EISDIR : EINVAL
  const plan = planSize(volume, inode, sizeBytes)
  if (plan instanceof Refusal) return plan
  const changed = tx.change(inode, { ...fields, ...plan })
  markFreedDirty(tx, inode, changed)
  const noRoom = tx.noRoom()
  if (noRoom) return noRoom

  const grows = sizeBytes > inode.sizeBytes
  if (grows) {
    const failure = growObject(volume, inode, changed)
    if (failure) return failure
  }
  tx.commit()
  if (sizeBytes < inode.sizeBytes) shrinkObject(volume, changed)
  return changed
}

/**
 * Clears first and logs then: a crash in between leaves the file cleared and the request unanswered, so the
 * kernel sends it again and it clears again. In the other order the next server would take it for done.
 *
 * QEMU punches a hole for each page of a balloon, many in one tick of the clock: where the file has these
 * very times already there is nothing to log, and all those holes have one record. A successor finds the same
 * state either way. One that gets the request again clears once more: no caller has had an answer yet, so a
 * store into the hole was made beside the request, and may come before it as well as after.
 */
function punchHole(tx: Transaction, inode: Inode, offset: number, end: number): Refusal | undefined {
  const { store } = tx.volume
  const { now } = tx.rq
  // Guest RAM that is not mapped by FUSE passthrough is mapped without the store, which cannot clear parts of
  // it.
  if (inode.guestRam && store.ram.via !== 'passthrough') return EOPNOTSUPP
  if (store.state(objectOf(inode)) === 'outgoing') return EBUSY
  const length = Math.min(end, inode.sizeBytes) - offset
  if (length <= 0) return undefined
  const isLogged = isSameTime(inode.mtime, now) && isSameTime(inode.ctime, now)
  if (isLogged) return store.data.punchHole(objectOf(inode), offset, length)
  tx.change(inode, { mtime: now, ctime: now })
  const failure = tx.noRoom() ?? store.data.punchHole(objectOf(inode), offset, length)
  if (failure) return failure
  tx.commit()
  return undefined
}

const isSameTime = (a: Timestamp, b: Timestamp): boolean =>
  a.seconds === b.seconds && a.nanoseconds === b.nanoseconds
