/**
 * A pool in a region before a server has it: its place, and the guests that are saved in it. Must not: change
 * the image.
 */
import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { probe } from '../fs/image/header.ts'
import { close } from '../linux/descriptors.ts'
import { mountTable } from '../linux/mounts.ts'
import { parseMountOptions } from '../pool/mount-options.ts'
import type { MountRequest } from '../pool/mount-pool.ts'
import { lockRegion } from '../run/region-lock.ts'
import { readState } from '../server/open-file-system.ts'
import { checkSeesHolders } from '../stores/carve-out/sees-holders.ts'
import type { EarlyRegion } from '../stores/driver.ts'
import { findRegion } from '../stores/registry.ts'
import { isRegionKind, type RegionKind } from '../values/store-kinds.ts'
import { countSaved, type SavedGuest, savedGuests } from './saved-guests.ts'

export interface EarlyPlace {
  readonly pool: string
  readonly mountPoint: string
  readonly kind: RegionKind
  readonly region: string | null
}

export interface EarlyPool {
  /** Those that need nothing of the mount, by `order`. */
  readonly guests: readonly SavedGuest[]
  /** All that are saved in it. */
  readonly savedCount: number
  /** Access to their memory, for the caller to close. */
  readonly reach: () => EarlyRegion
  /** Lets a server have the region. Else the kernel does, when this process ends. */
  readonly release: () => void
}

/**
 * undefined: the pool is in no region, or the mount point is not empty: what lies there would be found in
 * place of a file of the pool. Errors: UsageError (an option), Node's (there is no such directory).
 */
export function earlyPlace({ pool, mountPoint, options }: MountRequest): EarlyPlace | undefined {
  const { store, region } = parseMountOptions(options)
  if (store === undefined || !isRegionKind(store)) return undefined
  const directory = resolve(mountPoint)
  // First, since a look into the directory of an automount would wait for that mount.
  if (mountTable().some(({ target }) => target === directory)) return undefined
  if (readdirSync(directory).length > 0) return undefined
  return { pool, mountPoint: directory, kind: store, region: region ?? null }
}

/**
 * Takes the region's locks, so that no server has the region until they are released: another process that
 * has them serves the pool, or formats it. undefined: it is no pool, or only a server gives access to its
 * memory. Errors (UsageError, SystemCallError, CorruptBytesError): it is not there, in use, or not readable;
 * then no lock is held.
 */
export function openEarlyPool({ pool, mountPoint, kind, region: named }: EarlyPlace): EarlyPool | undefined {
  checkSeesHolders(kind)
  const region = findRegion({ kind, region: named })
  const reach = region.early?.bind(region)
  if (reach === undefined) return undefined
  const locks = lockRegion(region)
  const release = (): void => {
    for (const lock of locks) close(lock)
  }
  try {
    if (region.probe(probe).content !== 'ours') {
      release()
      return undefined
    }
    const { totalBlocks } = region
    const state = readState(region.readMetadata(), { storeKind: kind, totalBlocks }, pool)
    const guests = savedGuests(state, mountPoint)
    return { guests, savedCount: countSaved(state), reach: () => reach(pool), release }
  } catch (error) {
    release()
    throw error
  }
}
