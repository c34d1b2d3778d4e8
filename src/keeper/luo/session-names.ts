/**
 * The names of a pool's live update sessions. The kernel lists none, so the next kernel's keeper must know
 * them: one index session by the pool's name alone, which says what the others are called.
 */
import { createHash } from 'node:crypto'
import { SESSION_NAME_MAX } from '../../linux/luo.ts'

/** Room for `:` and the number of a session behind a pool's name. */
const NUMBER_BYTES = 8

/** `number` 0: the index. Ours begin with `guestmemfs:`, so that they meet nobody else's. */
export function sessionName(pool: string, number = 0): string {
  const plain = `guestmemfs:${pool}`
  // A pool name may be longer than a session's: then its hash stands for it.
  const isTooLong = plain.length + NUMBER_BYTES > SESSION_NAME_MAX
  const base = isTooLong
    ? `guestmemfs:#${createHash('sha256').update(pool).digest('hex').slice(0, 32)}`
    : plain
  return number === 0 ? base : `${base}:${number}`
}
