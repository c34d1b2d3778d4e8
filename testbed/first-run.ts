/** The room that a first run of the testbed needs, for all that it fetches and builds. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cacheRoot } from './cache.ts'
import { ensureRoom } from './space.ts'

/** Lists, packages, kernels, images, and a run's own files. */
const FIRST_BYTES = 4 * 2 ** 30

/**
 * Before the first download; later each part checks its own room. Throws `UsageError` that says how much is
 * missing.
 */
export function ensureRoomForFirstRun(): void {
  if (!existsSync(join(cacheRoot, 'root'))) ensureRoom(cacheRoot, FIRST_BYTES, 'a first run of the testbed')
}
