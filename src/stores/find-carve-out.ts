/** Owns the choice between the two ways to a carve-out: device-dax for soft-reserved memory, /dev/mem for reserved memory. */
import { close } from '../linux/descriptors.ts'
import { MEMORY_PATH, openMemory } from '../linux/memory-device.ts'
import { mapReadOnly } from '../linux/private-map.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import type { CarveOutStore } from './carve-out/carve-out-store.ts'
import type { Content, ImageProbe } from './carve-out/image-probe.ts'
import type { Layout } from './carve-out/layout.ts'
import { DaxInstances } from './dax/instances.ts'
import { openDaxStore } from './dax/open-dax-store.ts'
import { probeRegion } from './dax/probe.ts'
import { findDaxRegion, regionLockName } from './dax/region.ts'
import { openDevmemStore, probeRange, whyNot } from './devmem/open-devmem-store.ts'
import { findReservedRange, rangeLockName } from './devmem/range.ts'

/** Which one: `region` null means the only one there is. A plain value. */
export interface CarveOutChoice {
  readonly kind: 'dax' | 'devmem'
  readonly region: string | null
}

export interface CarveOut {
  readonly kind: 'dax' | 'devmem'
  readonly name: string
  readonly layout: Layout
  /** Two mounts of one carve-out exclude each other by a lock of this name: its place, which no renumbering changes. */
  readonly lockName: string
  /** Errors: UsageError when somebody else uses it, or the kernel does not let us look. */
  probe(judge: ImageProbe): Content
  /** Whoever calls holds its lock, and has probed it. Errors: UsageError, nothing changed; SystemCallError. */
  open(pool: string): CarveOutStore
  /** The metadata area of one that is being served. Errors: UsageError. */
  readMetadata(): Uint8Array
}

/** Errors: UsageError, one line that says what to do. */
export function findCarveOut({ kind, region }: CarveOutChoice): CarveOut {
  return kind === 'dax' ? daxRegion(region ?? undefined) : reservedRange(region ?? undefined)
}

function daxRegion(wanted: string | undefined): CarveOut {
  const found = findDaxRegion(wanted)
  const { name, region, layout } = found
  return {
    kind: 'dax',
    name,
    layout,
    lockName: regionLockName(found),
    probe: (judge) => probeRegion(found, judge),
    open: (pool) => openDaxStore({ pool, region: name }),
    readMetadata() {
      // By way of the device that the server made for it: there is one as long as somebody serves the region.
      const instances = new DaxInstances(region.path)
      const metadata = instances.exactly([layout.metadata])
      const fd = metadata && instances.open(metadata, { writable: false })
      if (fd === undefined || fd instanceof Errno)
        throw new UsageError(`region ${name} cannot be read (${fd ?? 'it is not served'})`)
      return mapped(fd, layout, 0)
    },
  }
}

function reservedRange(wanted: string | undefined): CarveOut {
  const found = findReservedRange(wanted)
  const { name, layout } = found
  return {
    kind: 'devmem',
    name,
    layout,
    lockName: rangeLockName(found),
    probe: (judge) => probeRange(found, judge),
    open: () => openDevmemStore(found),
    readMetadata() {
      const fd = openMemory(MEMORY_PATH, { writable: false })
      if (fd instanceof Errno) throw new UsageError(whyNot(fd, MEMORY_PATH))
      return mapped(fd, layout, layout.metadata.start)
    },
  }
}

function mapped(fd: Fd, { metadata }: Layout, offset: number): Uint8Array {
  const area = mapReadOnly(fd, metadata.lengthBytes, offset)
  close(fd)
  return area
}
