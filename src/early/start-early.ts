/**
 * Saved guests go on before their pool is mounted, at the boot after a kexec: while keeper and server start,
 * each guest's QEMU is started, loads the state, and lets the guest run. The image stays as it is, and the
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
 * if this had not been tried.
 *
 * Why no QEMU gets another file than it had: where a guest's line, environment or directory names the mount,
 * and where anything lies below the mount point, the guest waits for the mount; so it does where its QEMU is
 * seen to have opened a file there, through a symlink. Must not: change the image.
 */
import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { probe } from '../fs/image/header.ts'
import { close } from '../linux/descriptors.ts'
import type { EarlyGuests } from '../liveupdate/guest/early-result.ts'
import { parseMountOptions } from '../pool/mount-options.ts'
import type { MountRequest } from '../pool/mount-pool.ts'
import { missingOfHost } from '../qemu/host-needs.ts'
import { lockRegion } from '../run/region-lock.ts'
import { readState } from '../server/open-file-system.ts'
import { checkSeesHolders } from '../stores/carve-out/sees-holders.ts'
import type { EarlyRegion } from '../stores/driver.ts'
import { findRegion } from '../stores/registry.ts'
import { isRegionKind, type RegionKind } from '../values/store-kinds.ts'
import { continueEarly, type EarlyGuest, reachGuest } from './early-guest.ts'
import { countSaved, savedGuests } from './saved-guests.ts'

/**
 * Returns at once, with the QEMUs started. None where the store needs its server for that, or the pool is
 * held by a process already. Never throws: the mount says what is wrong.
 */
export function startEarly({ pool, mountPoint, options }: MountRequest, timeoutMs: number): Early {
  try {
    const { store, region } = parseMountOptions(options)
    if (store === undefined || !isRegionKind(store)) return NONE
    // What lies there would be found in place of a file of the pool.
    if (readdirSync(mountPoint).length > 0) return NONE
    const place = { pool, mountPoint: resolve(mountPoint), kind: store, region: region ?? null }
    const { region: early, guests, saved } = reachGuests(place)
    if (early === undefined) return NONE
    const going = guests.map(
      (guest) => [guest.definition.name, continueEarly(early, guest, timeoutMs)] as const,
    )
    void Promise.all(going.map(([, result]) => result)).then(() => early.close())
    return { guests: new Map(going), areAll: guests.length === saved }
  } catch {
    return NONE
  }
}

export interface Early {
  readonly guests: EarlyGuests
  /** No other guest waits for the mount. */
  readonly areAll: boolean
}
export const NONE: Early = { guests: new Map(), areAll: false }

interface Reached {
  readonly region: EarlyRegion | undefined
  readonly guests: readonly EarlyGuest[]
  /** Guests that are saved in the pool, these among them. */
  readonly saved: number
}
const NOTHING: Reached = { region: undefined, guests: [], saved: 0 }

interface Place {
  readonly pool: string
  readonly mountPoint: string
  readonly kind: RegionKind
  readonly region: string | null
}

/**
 * Throws UsageError, SystemCallError, CorruptBytesError: the mount will say the same. What was made by then
 * is what a former server could have left.
 */
function reachGuests({ pool, mountPoint, kind, region: named }: Place): Reached {
  checkSeesHolders(kind)
  const region = findRegion({ kind, region: named })
  if (region.early === undefined) return NOTHING
  // Another process that has it serves the pool, or formats the region.
  const locks = lockRegion(region)
  try {
    if (region.probe(probe).content !== 'ours') return NOTHING
    const { totalBlocks } = region
    const state = readState(region.readMetadata(), { storeKind: kind, totalBlocks }, pool)
    const ready = savedGuests(state, mountPoint).filter(
      ({ definition }) => missingOfHost(definition).length === 0,
    )
    if (ready.length === 0) return NOTHING
    const early = region.early(pool)
    const guests = ready.flatMap((guest) => reachGuest(early, guest) ?? [])
    return { region: early, guests, saved: countSaved(state) }
  } finally {
    // The keeper takes them next. The memory of these guests is in use by then, and no server takes that.
    for (const lock of locks) close(lock)
  }
}
