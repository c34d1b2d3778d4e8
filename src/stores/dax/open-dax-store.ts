/**
 * Owns opening the dax store: from whatever the region was left as by a former server, by another kernel, or by nobody, to a
 * region cut our way with the metadata area mapped. No byte of the region is written: it must have been probed before.
 */

import { close } from '../../linux/descriptors.ts'
import { mapShared } from '../../linux/memory.ts'
import { CarveOutStore } from '../carve-out/carve-out-store.ts'
import { DataChunks } from '../carve-out/data-chunks.ts'
import { isDataChunk } from '../carve-out/layout.ts'
import { must, mustWork } from '../carve-out/must.ts'
import { WorkerClient } from '../carve-out/worker-client.ts'
import { DaxGuestRam } from './device-ram.ts'
import { GuestNodes } from './guest-nodes.ts'
import { DaxInstances, PLACES, type Places } from './instances.ts'
import { refuseInUse, WholeDevice } from './probe.ts'
import { type FoundRegion, findDaxRegion } from './region.ts'

export interface DaxStoreOptions {
  readonly pool: string
  /** See findDaxRegion; undefined: the only carve-out. */
  readonly region?: string | undefined
}

/** Whoever calls holds the region's lock (`regionLockName`). Blocks. Errors: UsageError, nothing changed; SystemCallError. */
export function openDaxStore({ pool, region }: DaxStoreOptions, places: Places = PLACES): CarveOutStore {
  const found = findDaxRegion(region, places.sysfs)
  refuseInUse(found)
  const nodes = new GuestNodes(places.nodeRoot, pool)
  const instances = cut(found, nodes, places)
  const metadata = must(
    'metadata device',
    instances.exactly([found.layout.metadata]) ?? instances.make([found.layout.metadata]),
  )
  const fd = must(`open ${metadata.name}`, instances.open(metadata, { writable: true }))
  const area = mapShared(fd, found.layout.metadata.lengthBytes)
  close(fd)
  const { layout } = found
  const worker = new WorkerClient({ kind: 'dax', regionPath: found.region.path, places })
  const chunks = new DataChunks(layout, worker)
  const left = instances.all.filter(({ name }) => name !== metadata.name)
  const ram = new DaxGuestRam({ layout, worker, nodes, chunks, found: left })
  return new CarveOutStore({ kind: 'dax', reach: 'link', layout, metadata: area, worker, chunks, ram })
}

/**
 * The region without what nobody needs: the kernel's own cut, unfinished instances, and those that a server had made
 * for its own work. What a node leads to stays, since somebody may be about to open it; so does what
 * somebody holds, and chunks, which are soon wanted again.
 */
function cut(found: FoundRegion, nodes: GuestNodes, places: Places): DaxInstances {
  new WholeDevice(found, places).take()
  const instances = new DaxInstances(found.region.path, places)
  instances.clearLeftovers()
  const { layout } = found
  const numbers = new Set(instances.all.map(({ number }) => number))
  const published = new Set(nodes.takeStock(numbers).values())
  const doubtful = instances.all.filter(
    ({ number, ranges }) =>
      !published.has(number) && !isDataChunk(layout, ranges) && ranges[0]?.start !== layout.metadata.start,
  )
  const holders = instances.holders(doubtful)
  for (const instance of doubtful)
    if (!holders.has(instance.name)) mustWork(`destroy ${instance.name}`, instances.destroy(instance))
  return instances
}
