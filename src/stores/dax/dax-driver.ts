/** The registry's row of the `dax` store: soft-reserved memory, mapped by device-dax. */
import { close } from '../../linux/descriptors.ts'
import { mapReadOnly } from '../../linux/private-map.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import { PUD_BYTES } from '../../values/units.ts'
import { gibibyteFrames, placeOf } from '../carve-out/layout.ts'
import type { Region, StoreDriver } from '../driver.ts'
import { CHUNK_BLOCKS } from '../store.ts'
import { DaxInstances } from './dax-instances.ts'
import { EarlyDaxRegion } from './early-region.ts'
import { openDaxStore } from './open-dax-store.ts'
import { probeRegion } from './probe.ts'
import { type FoundRegion, findDaxRegion, regionLockName } from './region.ts'

export const DAX: StoreDriver = {
  carveOut: 'soft-reserved',
  survivesKexec: 'in place',
  largestPageBytes: PUD_BYTES,
  chunkBlocks: CHUNK_BLOCKS,
  find: (region) => daxRegion(findDaxRegion(region ?? undefined)),
}

const daxRegion = (found: FoundRegion): Region => ({
  name: found.name,
  lockName: regionLockName(found),
  lockRange: found.layout.range,
  totalBlocks: found.layout.totalBlocks,
  frames: gibibyteFrames(found.layout),
  place: placeOf(found.layout, found.nodes),
  probe: (probe) => probeRegion(found, probe),
  open: (pool) => openDaxStore({ pool, region: found.name }),
  readMetadata: () => readMetadata(found),
  early: (pool) => new EarlyDaxRegion(found, pool),
})

/** Reads through the device that the server made for it, which exists as long as the region is served. */
function readMetadata({ name, region, layout }: FoundRegion): Uint8Array {
  const instances = new DaxInstances(region.path)
  const metadata = instances.exactly([layout.metadata])
  const fd = metadata && instances.open(metadata, { writable: false })
  if (fd === undefined || fd instanceof Errno)
    throw new UsageError(`region ${name} cannot be read (${fd ?? 'it is not served'})`)
  const area = mapReadOnly(fd, layout.metadata.lengthBytes, 0)
  close(fd)
  return area
}
