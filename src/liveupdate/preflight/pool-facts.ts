/**
 * What a kernel update depends on in every pool of this host, mounted or not. Only reads it: the checks are
 * in other files.
 */
import * as v from 'valibot'
import { hasLiveUpdate } from '../../linux/luo.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import { outlivesShutdown } from '../../linux/outlives-shutdown.ts'
import { checkPoolImage } from '../../pool/check-image.ts'
import { imageFormat, READ_FORMATS } from '../../pool/formats.ts'
import { knownPools } from '../../pool/known-pools.ts'
import { findMount, type PoolMount, poolMounts, readVirtual } from '../../pool/pool-view.ts'
import { handoverStatus } from '../../pool/request-handover.ts'
import { readVms, type Vm } from '../../qemu/vm-list.ts'
import { STORES } from '../../stores/registry.ts'
import { UsageError } from '../../values/errors.ts'
import type { CarveOutType, StoreKind } from '../../values/store-kinds.ts'
import { hasRamIn, vmMount } from '../vm-mounts.ts'

export interface PoolFacts {
  readonly pool: string
  readonly mountPoint: string
  /** As `guestmemfs.pool` names it: `memfd`, `dax`, … */
  readonly store: string
  /** How its memory gets into the next kernel; undefined: it does not. */
  readonly by: SurvivesBy | undefined
  /** undefined: its kind of store hands no memory over. */
  readonly handover: HandoverFacts | undefined
  /** The process that holds its memory still runs when systemd has stopped all others. */
  readonly outlivesShutdown: boolean
  /** Its physical range; undefined where it has none of its own. */
  readonly place: PhysicalRange | undefined
  /** The update is about this pool. */
  readonly isChosen: boolean
  readonly holdsFiles: boolean
  /** Errors of `fsck`, with which the next kernel's server would refuse the image. */
  readonly imageErrors: readonly string[]
  /** Those with RAM in it, also where they are recorded in another pool. */
  readonly vms: readonly Vm[]
  /** Records of VMs that cannot be read, one line each. */
  readonly problems: readonly string[]
  /**
   * Formats that the next kernel's guestmemfs must read: `image`, with LUO `handover`, and `VM record` where
   * it is not the first.
   */
  readonly formats: Readonly<Record<string, number>>
}

export interface HandoverFacts {
  readonly state: string
  /** Memory that preserving would allocate. */
  readonly holeBytes: number
  readonly awaitedFiles: number
  readonly lostFiles: number
}

/**
 * `carve-out`: it is in memory that no kernel uses for itself. `luo`: this kernel's live update orchestrator
 * hands it to the next one.
 */
export type SurvivesBy = 'carve-out' | 'luo'

/** How a pool of this kind of store survives; undefined: it does not on this kernel. */
export function survivesBy(store: string, hasLiveUpdate: boolean): SurvivesBy | undefined {
  if (outlivesInPlace(store)) return 'carve-out'
  return hasLiveUpdate ? 'luo' : undefined
}

/** Whether a kernel leaves its memory alone when it starts. */
const outlivesInPlace = (store: string): boolean => driverOf(store)?.survivesKexec === 'in place'

/** How the memory of such a pool is set aside at boot; false: it is not. */
export const carveOutOf = (store: string): CarveOutType | false => driverOf(store)?.carveOut ?? false

/** `store`: as the server names it, perhaps one of another version. */
const driverOf = (store: string) => (Object.hasOwn(STORES, store) ? STORES[store as StoreKind] : undefined)

export const outlivesKexec = ({ by }: Pick<PoolFacts, 'by'>): boolean => by !== undefined

const Server = v.object({ keeperPid: v.number() })
const Health = v.object({ awaitedFiles: v.number(), lostFiles: v.number() })
const Place = v.object({ startByte: v.number(), sizeBytes: v.number() })
const Identity = v.object({ store: v.string(), place: v.optional(Place) })
const Geometry = v.object({ ownedBlocks: v.number() })

/**
 * `named`: the mount that the operator named; undefined: all mounts. Errors (UsageError): there is no such
 * mount.
 */
export function poolFacts(named: string | undefined): PoolFacts[] {
  const chosen = named === undefined ? undefined : findMount(named).mountPoint
  const mounts = poolMounts().map((mount) => ({ ...mount, ...readVms(vmMount(mount).recorded) }))
  const all = mounts.flatMap(({ vms }) => vms)
  return mounts.map(({ pool, mountPoint, problems }) => {
    const { store, place } = v.parse(Identity, readVirtual(mountPoint, 'pool'))
    const by = survivesBy(store, hasLiveUpdate())
    const theirs = all.filter(({ definition }) => hasRamIn(definition, mountPoint))
    const record = Math.max(...theirs.map(({ definition }) => definition.format))
    return {
      pool,
      mountPoint,
      store,
      by,
      outlivesShutdown: outlivesShutdown(v.parse(Server, readVirtual(mountPoint, 'server')).keeperPid),
      handover: handoverFacts({ pool, mountPoint }),
      place: place && { start: place.startByte, lengthBytes: place.sizeBytes },
      isChosen: chosen === undefined || chosen === mountPoint,
      holdsFiles: v.parse(Geometry, readVirtual(mountPoint, 'geometry')).ownedBlocks > 0,
      imageErrors: imageErrors(pool),
      formats: {
        image: imageFormat(mountPoint).version,
        ...(by === 'luo' && { handover: READ_FORMATS.handover.newest }),
        ...(record > READ_FORMATS['VM record'].oldest && { 'VM record': record }),
      },
      vms: theirs,
      problems,
    }
  })
}

function handoverFacts(mount: PoolMount): HandoverFacts | undefined {
  const status = handoverStatus(mount)
  if (status === undefined) return undefined
  const { state, holeBytes } = status
  return { state, holeBytes, ...v.parse(Health, readVirtual(mount.mountPoint, 'health')) }
}

/** Unmounted pools whose memory is lost with the process that holds it. */
export function parkedPools(): string[] {
  return knownPools()
    .records.filter(({ state, source }) => state === 'parked' && !outlivesInPlace(source.kind))
    .map(({ pool }) => pool)
}

function imageErrors(pool: string): string[] {
  try {
    return checkPoolImage(pool).flatMap(({ severity, message }) => (severity === 'error' ? [message] : []))
  } catch (error) {
    if (error instanceof UsageError) return [error.message]
    throw error
  }
}
