/** The registry's row of the `devmem` store: reserved memory, mapped through /dev/mem. */
import { close } from '../../linux/descriptors.ts'
import { MEMORY_PATH, openMemory } from '../../linux/memory-device.ts'
import { mapReadOnly } from '../../linux/private-map.ts'
import { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import { PMD_BYTES } from '../../values/units.ts'
import { placeOf } from '../carve-out/layout.ts'
import type { Region, StoreDriver } from '../driver.ts'
import { CHUNK_BLOCKS } from '../store.ts'
import { openDevmemStore, probeRange, whyNot } from './open-devmem-store.ts'
import { type FoundRange, findReservedRange, rangeLockName } from './range.ts'

export const DEVMEM: StoreDriver = {
  carveOut: 'reserved',
  survivesKexec: 'in place',
  largestPageBytes: PMD_BYTES,
  chunkBlocks: CHUNK_BLOCKS,
  find: (region) => reservedRange(findReservedRange(region ?? undefined)),
}

const reservedRange = (found: FoundRange): Region => ({
  name: found.name,
  lockName: rangeLockName(found),
  lockRange: found.layout.range,
  totalBlocks: found.layout.totalBlocks,
  frames: undefined,
  place: placeOf(found.layout, found.nodes),
  probe: (probe) => probeRange(found, probe),
  open: () => openDevmemStore(found),
  readMetadata: () => readMetadata(found),
})

function readMetadata({ layout: { metadata } }: FoundRange): Uint8Array {
  const fd = openMemory(MEMORY_PATH, { writable: false })
  if (fd instanceof Errno) throw new UsageError(whyNot(fd, MEMORY_PATH))
  const area = mapReadOnly(fd, metadata.lengthBytes, metadata.start)
  close(fd)
  return area
}
