/**
 * What a `mount --resume` does before it mounts. A process of its own loads this before the rest of the
 * program and before it starts a keeper: after a kexec guests are stopped, and every other process takes the
 * processors, and the disk, from their QEMUs. Where another guest waits for the mount, the rest is loaded and
 * the keeper started meanwhile, and keeper and server are behind those QEMUs (keeper/server-nice.ts); this
 * process is not, since it answers them.
 */
import { hasUnit } from '../pool/has-unit.ts'
import type { MountRequest } from '../pool/mount-pool.ts'
import { hasRecordInRun } from '../run/pool-record.ts'
import { LATE, within } from '../values/within.ts'
import { type Early, MOST_BEFORE_MOUNT_MS, NONE, startEarly } from './start-early.ts'

export interface GuestsBeforeMount extends Early {
  /** Resolves when all of them have gone on, or have not; undefined: that is so. */
  readonly goingOn: Promise<unknown> | undefined
}

/**
 * Saved guests that need nothing of the mount go on. Resolves when all of the pool's do, or where another one
 * waits for the mount as soon as their QEMUs are started. None where a unit mounts, and none of a pool that
 * has a record, which no kexec has left. Never rejects.
 */
export async function guestsBeforeMount(
  request: MountRequest,
  timeoutMs: number,
): Promise<GuestsBeforeMount> {
  const early = isAfterKexec(request) ? await startEarly(request, timeoutMs) : NONE
  const all = Promise.all(early.guests.values())
  const isLate = (await within(all, early.areAll ? MOST_BEFORE_MOUNT_MS : 0)) === LATE
  return { ...early, goingOn: isLate ? all : undefined }
}

function isAfterKexec({ pool }: MountRequest): boolean {
  try {
    return process.getuid?.() === 0 && !hasUnit() && !hasRecordInRun(pool)
  } catch {
    // The mount says what is wrong with the name.
    return false
  }
}
