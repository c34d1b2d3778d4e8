/**
 * What a `mount --resume` does before it mounts. A process of its own loads this before the rest of the
 * program and before it starts a keeper: after a kexec guests are stopped, and every other process takes the
 * processors, and the disk, from their QEMUs.
 */
import { hasUnit } from '../pool/has-unit.ts'
import type { MountRequest } from '../pool/mount-pool.ts'
import { hasRecordInRun } from '../run/pool-record.ts'
import { within } from '../values/within.ts'
import { type Early, NONE, startEarly } from './start-early.ts'

/** A QEMU that hangs holds up the mount no longer. */
const MOST_BEFORE_MOUNT_MS = 15_000

/**
 * Saved guests that need nothing of the mount go on. Resolves when all of the pool's do, or where another one
 * waits for the mount as soon as their QEMUs are started. None where a unit mounts, and none of a pool that
 * has a record, which no kexec has left. Never rejects.
 */
export async function guestsBeforeMount(request: MountRequest, timeoutMs: number): Promise<Early> {
  const early = isAfterKexec(request) ? startEarly(request, timeoutMs) : NONE
  if (early.areAll) await within(Promise.all(early.guests.values()), MOST_BEFORE_MOUNT_MS)
  return early
}

function isAfterKexec({ pool }: MountRequest): boolean {
  try {
    return process.getuid?.() === 0 && !hasUnit() && !hasRecordInRun(pool)
  } catch {
    // The mount says what is wrong with the name.
    return false
  }
}
