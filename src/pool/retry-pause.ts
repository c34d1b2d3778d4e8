/**
 * How long the pool's unit waits after a takeover that was refused. systemd starts a unit again 100 ms after
 * its process has ended, because a pool whose keeper was killed must not wait; while a refusal lasts (an
 * image that this version cannot read) it would start ten processes a second. systemd's own RestartSteps=
 * counts all restarts, so that takeovers would become slow with the months.
 */
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOfNodeError } from '../linux/library.ts'
import { replaceFile } from '../run/atomic-file.ts'
import { isBeingDiscarded } from '../run/discard-lock.ts'
import { POOLS } from '../run/paths.ts'
import { hasRequest } from './systemd-unit.ts'

const FIRST_PAUSE_MS = 200
/** Less than the unit's TimeoutStartSec= by the time that a takeover may take. */
const LONGEST_PAUSE_MS = 20_000
const LOOK_EVERY_MS = 50

/** Refusals in a row. It only decides how long a pause is, so a file that is lost or wrong does no harm. */
const path = (pool: string): string => `${POOLS}/${pool}.refused`

function refusals(pool: string): number {
  try {
    return Number(readFileSync(path(pool), 'latin1')) || 0
  } catch (error) {
    errnoOfNodeError(error)
    return 0
  }
}

/** Milliseconds after the refusal number `count`, the first of which is 1. */
const pauseMs = (count: number): number =>
  Math.min(FIRST_PAUSE_MS * 2 ** Math.max(0, count - 1), LONGEST_PAUSE_MS)

/** The pool was taken over, or mounted. */
export const resetRefusals = (pool: string): void => rmSync(path(pool), { force: true })

/**
 * After a refusal: waits twice as long as after the one before it, up to LONGEST_PAUSE_MS. Resolves at once
 * when `mount` requests the pool, so that its caller need not wait, or `umount --discard` discards it.
 */
export async function pauseAfterRefusal(pool: string): Promise<void> {
  const count = refusals(pool) + 1
  let waitMs = pauseMs(count)
  try {
    replaceFile(path(pool), String(count), 0o600)
  } catch (error) {
    errnoOfNodeError(error)
    // It would be the first refusal each time (a full /run).
    waitMs = LONGEST_PAUSE_MS
  }
  const deadline = performance.now() + waitMs
  while (performance.now() < deadline && !hasRequest(pool) && !isBeingDiscarded(pool))
    await sleep(LOOK_EVERY_MS)
}
