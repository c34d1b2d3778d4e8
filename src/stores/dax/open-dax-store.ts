/**
 * Opens the dax store: a region as a former server, another kernel or the boot left it gets the instances of
 * a pool, and its metadata area is mapped. Writes no byte of the region, which the caller must have probed.
 */
import { close } from '../../linux/descriptors.ts'
import { must } from '../../linux/library.ts'
import { mapShared } from '../../linux/memory.ts'
import { CarveOutFailures } from '../carve-out/carve-out-failures.ts'
import { CarveOutStore } from '../carve-out/carve-out-store.ts'
import { DataChunks } from '../carve-out/data-chunks.ts'
import { gibibyteFrames, isDataChunk } from '../carve-out/layout.ts'
import { WorkerClient } from '../carve-out/worker-client.ts'
import { DaxGuestRam } from './dax-guest-ram.ts'
import { DaxInstances, PLACES, type Places } from './dax-instances.ts'
import type { DaxTarget } from './dax-worker.ts'
import { GuestNodes } from './guest-nodes.ts'
import { refuseInUse, WholeDevice } from './probe.ts'
import { type FoundRegion, findDaxRegion } from './region.ts'

export interface DaxStoreOptions {
  readonly pool: string
  /** See findDaxRegion; undefined: the only carve-out. */
  readonly region?: string | undefined
}

const WORKER = new URL(`./dax-worker${import.meta.url.slice(-3)}`, import.meta.url)

/**
 * The caller holds the region's lock (`regionLockName`). Blocks. Errors: UsageError, nothing changed;
 * SystemCallError.
 */
export function openDaxStore(
  { pool, region }: DaxStoreOptions,
  places: Places = PLACES,
): CarveOutStore<DaxGuestRam> {
  const found = findDaxRegion(region, places.sysfs)
  refuseInUse(found)
  const guestNodes = new GuestNodes(places.nodeRoot, pool)
  const instances = removeUnneeded(found, guestNodes, places)
  const metadata = must(
    instances.exactly([found.layout.metadata]) ?? instances.make([found.layout.metadata]),
    'metadata device',
  )
  const fd = must(instances.open(metadata, { writable: true }), `open ${metadata.name}`)
  const area = mapShared(fd, found.layout.metadata.lengthBytes)
  close(fd)
  const { layout, nodes } = found
  const target: DaxTarget = { regionPath: found.region.path, places }
  const worker = new WorkerClient(WORKER, target)
  const chunks = new DataChunks(layout, worker)
  const left = instances.all.filter(({ name }) => name !== metadata.name)
  const ram = new DaxGuestRam({ layout, worker, nodes: guestNodes, chunks, found: left })
  const frames = gibibyteFrames(layout)
  return new CarveOutStore({
    kind: 'dax',
    layout,
    nodes,
    contiguous: false,
    frames,
    metadata: area,
    worker,
    chunks,
    ram,
    failures: new CarveOutFailures(layout, chunks),
  })
}

/**
 * Removes the devices that are not needed: the device that the kernel made at boot, unfinished instances, and
 * those that a server had made for its own work. A device with a node stays, since a guest may be about to
 * open it; so do devices that a process holds, and chunks, which are soon needed again.
 */
function removeUnneeded(found: FoundRegion, nodes: GuestNodes, places: Places): DaxInstances {
  new WholeDevice(found, places).take()
  const instances = new DaxInstances(found.region.path, places)
  instances.clearLeftovers()
  const { layout } = found
  const numbers = new Set(instances.all.map(({ number }) => number))
  const published = new Set(nodes.readNodes(numbers).values())
  const doubtful = instances.all.filter(
    ({ number, ranges }) =>
      !published.has(number) && !isDataChunk(layout, ranges) && ranges[0]?.start !== layout.metadata.start,
  )
  const holders = instances.holders(doubtful)
  for (const instance of doubtful)
    if (!holders.has(instance.name)) must(instances.destroy(instance), `destroy ${instance.name}`)
  return instances
}
