/**
 * The names of a pool's live update sessions. The kernel lists none, so the next kernel's keeper finds them
 * by an index session of the pool's name alone, whose manifest has the names of the others.
 */
import { createHash } from 'node:crypto'
import { SESSION_NAME_MAX } from '../../linux/luo.ts'

/** Room for `:` and the number of a session behind a pool's name. */
const NUMBER_BYTES = 8

/** `number` 0: the index. All begin with `guestmemfs:`, so that they differ from those of other programs. */
export function sessionName(pool: string, number = 0): string {
  const plain = `guestmemfs:${pool}`
  // A pool name may be longer than a session's: then its hash is used.
  const isTooLong = plain.length + NUMBER_BYTES > SESSION_NAME_MAX
  const base = isTooLong
    ? `guestmemfs:#${createHash('sha256').update(pool).digest('hex').slice(0, 32)}`
    : plain
  return number === 0 ? base : `${base}:${number}`
}
