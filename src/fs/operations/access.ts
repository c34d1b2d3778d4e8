/**
 * atime: when the contents of an inode were last read. A read is answered even where its atime cannot be
 * recorded.
 */
import { Errno } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import type { Inode, Timestamp } from '../state/inode.ts'
import type { Transaction } from '../state/transaction.ts'

/** `strict`: at each read. `relative`: at the reads at which relatime of mount(8) updates it. */
export type AtimeRule = 'relative' | 'strict'

const DAY_SECONDS = 86_400

/** Without effect while the pool is frozen, or its image is full: no request fails by it. */
export function accessed(tx: Transaction, ino: Ino, rule: AtimeRule): void {
  const { volume, rq } = tx
  const inode = volume.inode(ino)
  if (inode instanceof Errno || volume.frozen) return
  const isDue = rule === 'strict' ? compare(inode.atime, rq.now) !== 0 : isRelativelyDue(inode, rq.now)
  if (!isDue) return
  tx.change(inode, { atime: rq.now })
  tx.commitIfRoom()
}

/** `relatime_need_update` in fs/inode.c: it is no later than the last change, or a day old. */
const isRelativelyDue = ({ atime, mtime, ctime }: Inode, now: Timestamp): boolean =>
  compare(mtime, atime) >= 0 || compare(ctime, atime) >= 0 || now.seconds - atime.seconds >= DAY_SECONDS

const compare = (a: Timestamp, b: Timestamp): number => a.seconds - b.seconds || a.nanoseconds - b.nanoseconds
