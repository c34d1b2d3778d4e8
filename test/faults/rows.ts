/**
 * The table of what was wrong in the oldest tree whose pools today's program reads, a row for each fault,
 * with the test that shows it. A test sees it from outside, with the program of that tree; where nothing can
 * be seen from outside, it sees it in today's sources with the mend taken back. Must not: run anything.
 */
import { GUEST_ROWS } from './guest-rows.ts'
import { POOL_ROWS } from './pool-rows.ts'

/** In today's sources: what the mend put in place of what. */
export interface Revert {
  readonly path: string
  readonly now: string
  readonly before: string
}

export interface Row {
  /** Kind and number of the fault; several tests of one fault have a letter. */
  readonly id: string
  /** What the operator saw. */
  readonly about: string
  readonly file: string
  readonly title: string
  /** `old tree`: the program is that of the oldest tree, and the test today's. */
  readonly how: 'old tree' | readonly Revert[]
  /** What the test must say when it fails, as read in its output: another failure shows nothing. */
  readonly says: RegExp
}

export const ROWS: readonly Row[] = [...GUEST_ROWS, ...POOL_ROWS]
