/**
 * Saved guests go on before their pool is mounted, at the boot after a kexec: before keeper and server are
 * started each guest's QEMU is, loads the state, and lets the guest run. The image stays as it is, and the
 * guest on record as saved, until the resumption finds it.
 *
 * Why no state is ever loaded over newer memory, whichever process ends at whatever moment: a guest that has
 * not run has its memory as it was saved, and loading writes none of it or the same again. Before it runs,
 * the first bytes of its state file are replaced by a mark (`CONSUMED`), in the pool's own memory, which
 * outlives every process and every kexec. A state with the mark, or with a part of it, is not what the
 * record's checksum says, so no QEMU loads it. `resume` finds one of these:
 *   no QEMU, no mark              nothing has happened: the guest is resumed
 *   a QEMU that waits, no mark    it is given the state
 *   a QEMU that is paused         it has the state, and is continued, with the mark or without
 *   a QEMU that runs, the mark    the guest went on: the record says so from now on
 *   no QEMU, the mark             the guest went on, and its QEMU has ended since: it is gone, as any guest
 *                                 is whose QEMU was killed
 * (liveupdate/guest/recover-guest.ts). What fails before the mark ends that QEMU, and the guest is resumed as
 * if this had not been tried. The mark is written to the blocks that the image names, which are the file's
 * own as long as the image is frozen: never once the pool is mounted (`Early.withdraw`).
 *
 * Why no QEMU gets another file than it had: where a guest's line, environment or directory names the mount,
 * and where anything lies below the mount point, the guest waits for the mount; so it does where its QEMU is
 * seen to have opened a file there, through a symlink. It is not started either while a mount or a device is
 * missing that its QEMU had when it was saved, whose place another file may have (`lacks.ts`). Must not:
 * change the image.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import type { EarlyGuests, EarlyResult } from '../liveupdate/guest/early-result.ts'
import type { MountRequest } from '../pool/mount-pool.ts'
import { continueEarly, type EarlyGuest, reachGuest } from './early-guest.ts'
import { type EarlyPlace, earlyPlace, openEarlyPool } from './early-pool.ts'
import { hostLacks, isLacking } from './lacks.ts'
import type { SavedGuest } from './saved-guests.ts'

/** A QEMU that hangs holds up the mount no longer. */
export const MOST_BEFORE_MOUNT_MS = 15_000

/**
 * Resolves when the QEMUs are started. None where the store needs its server for that, or the pool is held by
 * a process already. Never rejects: the mount says what is wrong.
 */
export async function startEarly(request: MountRequest, timeoutMs: number): Promise<Early> {
  try {
    const place = earlyPlace(request)
    return place === undefined ? NONE : await startGuests(place, timeoutMs)
  } catch {
    return NONE
  }
}

export interface Early {
  readonly guests: EarlyGuests
  /** No other guest waits for the mount. */
  readonly areAll: boolean
  /**
   * Called when the pool is mounted, before it is thawed: a guest that has not gone on by then is left to the
   * resumption. Its state file may be removed from there on, and its blocks be those of another file.
   */
  readonly withdraw: () => void
}
export const NONE: Early = { guests: new Map(), areAll: false, withdraw: () => {} }

/**
 * Errors (UsageError, SystemCallError, CorruptBytesError): no QEMU was started, and the mount will say the
 * same. What was made by then is what a former server could have left.
 */
async function startGuests(place: EarlyPlace, timeoutMs: number): Promise<Early> {
  const pool = openEarlyPool(place)
  if (pool === undefined) return NONE
  try {
    const ready = pool.guests.filter(({ definition }) => !isLacking(hostLacks(definition)))
    if (ready.length === 0) return NONE
    const region = pool.reach()
    const withdrawal = new AbortController()
    const limits = { timeoutMs, withdrawn: withdrawal.signal }
    const guests = await startEach(
      ready,
      (guest) => reachGuest(region, guest),
      (guest) => continueEarly(region, guest, limits),
    )
    void Promise.all(guests.values()).then(() => region.close())
    const areAll = guests.size === pool.savedCount
    return { guests, areAll, withdraw: () => withdrawal.abort() }
  } finally {
    // The keeper takes them next. The memory of these guests is in use by then, and no server takes that.
    pool.release()
  }
}

/**
 * Starts each guest before it reaches the next one: a QEMU takes longer to start than RAM takes to be made
 * reachable, so all but the first start meanwhile. `reach`: undefined, or what it throws: that guest is not
 * started. `start`: never rejects. Never rejects.
 */
export async function startEach(
  guests: readonly SavedGuest[],
  reach: (guest: SavedGuest) => EarlyGuest | undefined,
  start: (guest: EarlyGuest) => Promise<EarlyResult | undefined>,
): Promise<EarlyGuests> {
  const started = new Map<string, Promise<EarlyResult | undefined>>()
  for (const guest of guests) {
    const reached = tryTo(() => reach(guest))
    if (reached === undefined) continue
    started.set(guest.definition.name, start(reached))
    // `start` starts its QEMU's process after promises that Node resolves only while this loop waits.
    await immediate()
  }
  return started
}

/** undefined: the resumption finds out why. */
function tryTo<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
