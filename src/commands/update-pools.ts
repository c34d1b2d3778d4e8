/** Owns gathering what a kernel update must know of every pool of this host, mounted or not. */
import * as v from 'valibot'
import { outlivesShutdown } from '../linux/final-kill.ts'
import { hasLiveUpdate } from '../linux/luo.ts'
import { type HandOverFacts, type PoolFacts, wayOver } from '../liveupdate/pool-check.ts'
import { vmMounts } from '../liveupdate/vm-mounts.ts'
import { checkPoolImage } from '../pool/check-image.ts'
import { handoverStatus } from '../pool/handover.ts'
import { findMount, type PoolMount, poolMounts, readVirtual } from '../pool/pool-view.ts'
import { readVms } from '../qemu/vm-list.ts'
import { listPoolRecords } from '../run/pool-record.ts'
import { STORES } from '../stores/registry.ts'
import { UsageError } from '../values/errors.ts'

const Server = v.object({ keeperPid: v.number() })
const Health = v.object({ awaitedFiles: v.number(), lostFiles: v.number() })
const Place = v.object({ startByte: v.number(), sizeBytes: v.number() })
const Identity = v.object({ store: v.string(), place: v.optional(Place) })
const Geometry = v.object({ ownedBlocks: v.number() })

/**
 * `named`: the mount that the update is about; undefined: all of them. Errors (UsageError): there is no such
 * mount.
 */
export function poolFacts(named: string | undefined): PoolFacts[] {
  const chosen = named === undefined ? undefined : findMount(named).mountPoint
  return poolMounts().map(({ pool, mountPoint }) => {
    const recorded = vmMounts(mountPoint).flatMap((mount) => mount.recorded)
    const { store, place } = v.parse(Identity, readVirtual(mountPoint, 'pool'))
    return {
      pool,
      mountPoint,
      store,
      by: wayOver(store, hasLiveUpdate()),
      outlivesShutdown: outlivesShutdown(v.parse(Server, readVirtual(mountPoint, 'server')).keeperPid),
      handover: handoverFacts({ pool, mountPoint }),
      place: place && { start: place.startByte, lengthBytes: place.sizeBytes },
      isChosen: chosen === undefined || chosen === mountPoint,
      holdsFiles: v.parse(Geometry, readVirtual(mountPoint, 'geometry')).ownedBlocks > 0,
      imageErrors: imageErrors(pool),
      ...readVms(recorded),
    }
  })
}

function handoverFacts(mount: PoolMount): HandOverFacts | undefined {
  const status = handoverStatus(mount)
  if (status === undefined) return undefined
  const { state, holeBytes } = status
  return { state, holeBytes, ...v.parse(Health, readVirtual(mount.mountPoint, 'health')) }
}

/**
 * Pools that are not mounted, and whose memory no kernel finds by itself: it ends with the process that holds
 * it.
 */
export function parkedPools(): string[] {
  return listPoolRecords()
    .records.filter(
      ({ state, source }) => state === 'parked' && STORES[source.kind].survivesKexec !== 'in place',
    )
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
