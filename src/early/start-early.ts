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
 * seen to have opened a file there, through a symlink. Must not: change the image.
 */
import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { probe } from '../fs/image/header.ts'
import { close } from '../linux/descriptors.ts'
import type { EarlyGuests, EarlyResult } from '../liveupdate/guest/early-result.ts'
import { parseMountOptions } from '../pool/mount-options.ts'
import type { MountRequest } from '../pool/mount-pool.ts'
import { missingOfHost } from '../qemu/host-needs.ts'
import { lockRegion } from '../run/region-lock.ts'
import { readState } from '../server/open-file-system.ts'
import { checkSeesHolders } from '../stores/carve-out/sees-holders.ts'
import { findRegion } from '../stores/registry.ts'
import { isRegionKind, type RegionKind } from '../values/store-kinds.ts'
import { continueEarly, type EarlyGuest, reachGuest } from './early-guest.ts'
import { countSaved, type SavedGuest, savedGuests } from './saved-guests.ts'

/**
 * Resolves when the QEMUs are started. None where the store needs its server for that, or the pool is held by
 * a process already. Never rejects: the mount says what is wrong.
 */
export async function startEarly(
  { pool, mountPoint, options }: MountRequest,
  timeoutMs: number,
): Promise<Early> {
  try {
    const { store, region } = parseMountOptions(options)
    if (store === undefined || !isRegionKind(store)) return NONE
    // What lies there would be found in place of a file of the pool.
    if (readdirSync(mountPoint).length > 0) return NONE
    const place = { pool, mountPoint: resolve(mountPoint), kind: store, region: region ?? null }
    return await startGuests(place, timeoutMs)
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

interface Place {
  readonly pool: string
  readonly mountPoint: string
  readonly kind: RegionKind
  readonly region: string | null
}

/**
 * Errors (UsageError, SystemCallError, CorruptBytesError): no QEMU was started, and the mount will say the
 * same. What was made by then is what a former server could have left.
 */
async function startGuests(
  { pool, mountPoint, kind, region: named }: Place,
  timeoutMs: number,
): Promise<Early> {
  checkSeesHolders(kind)
  const region = findRegion({ kind, region: named })
  if (region.early === undefined) return NONE
  // Another process that has it serves the pool, or formats the region.
  const locks = lockRegion(region)
  try {
    if (region.probe(probe).content !== 'ours') return NONE
    const { totalBlocks } = region
    const state = readState(region.readMetadata(), { storeKind: kind, totalBlocks }, pool)
    const ready = savedGuests(state, mountPoint).filter(
      ({ definition }) => missingOfHost(definition).length === 0,
    )
    if (ready.length === 0) return NONE
    const early = region.early(pool)
    const withdrawal = new AbortController()
    const limits = { timeoutMs, withdrawn: withdrawal.signal }
    const guests = await startEach(
      ready,
      (guest) => reachGuest(early, guest),
      (guest) => continueEarly(early, guest, limits),
    )
    void Promise.all(guests.values()).then(() => early.close())
    const areAll = guests.size === countSaved(state)
    return { guests, areAll, withdraw: () => withdrawal.abort() }
  } finally {
    // The keeper takes them next. The memory of these guests is in use by then, and no server takes that.
    for (const lock of locks) close(lock)
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
    // `start` has come to its QEMU's process only when this loop has let go of the thread.
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
