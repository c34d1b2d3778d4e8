/**
 * The table of what was wrong in the oldest tree whose pools today's program reads, a row for each fault,
 * with the test that shows it. A test sees it from outside, with the program of that tree; where nothing can
 * be seen from outside, it sees it in today's sources with the mend taken back. Must not: run anything.
 */
import { GUEST_ROWS } from './guest-rows.ts'
import { POOL_ROWS } from './pool-rows.ts'
import type { Row } from './row.ts'
import { UPDATE_ROWS } from './update-rows.ts'

export const ROWS: readonly Row[] = [...GUEST_ROWS, ...UPDATE_ROWS, ...POOL_ROWS]
