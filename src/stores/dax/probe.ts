/**
 * Owns the question what a region holds before it becomes, or is, our pool: our image, nothing, or somebody's data.
 * No byte of the region is written here. The cut of the region may change while looking and is put back, so
 * that a refusal leaves everything as it was; dying in between leaves an empty device 0, and the bytes.
 */

import type { DaxDevice } from '../../linux/dax.ts'
import {
  bindDaxDevice,
  DEVICE_DAX,
  destroyDaxDevice,
  resizeDaxDevice,
  sameRanges,
} from '../../linux/dax-device.ts'
import { findHolders } from '../../linux/holders.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import { unmapRaw } from '../../linux/raw-memory.ts'
import { UsageError } from '../../values/errors.ts'
import { GIB } from '../../values/units.ts'
import { type Content, foreignBytes, holdsImage, type ImageProbe } from '../carve-out/image-probe.ts'
import type { Instance } from '../carve-out/instances.ts'
import { must, mustWork } from '../carve-out/must.ts'
import { DaxInstances, PLACES, type Places } from './instances.ts'
import { cutBy, type FoundRegion } from './region.ts'

/** Looked through at a time: each GiB takes some MiB of ordinary RAM for its pages, and a host keeps little for itself. */
const WINDOW_BYTES = 16 * GIB

/** Errors: UsageError when somebody else uses the region. */
export function probeRegion(found: FoundRegion, judge: ImageProbe, places: Places = PLACES): Content {
  refuseInUse(found)
  const instances = new DaxInstances(found.region.path, places)
  const metadata = instances.exactly([found.layout.metadata])
  if (metadata !== undefined) {
    if (isOurs(instances, metadata, judge)) return { content: 'ours' }
    // It was cut by us, and never formatted. Anything else in it is a damaged image, with guests beside it perhaps.
    if (instances.all.length > 1) return { content: 'foreign', why: 'its metadata area holds no image' }
    mustWork(`destroy ${metadata.name}`, instances.destroy(metadata))
  }
  const cut = new WholeDevice(found, places)
  cut.take()
  instances.clearLeftovers()
  const content = look(instances, found, judge)
  if (content.content !== 'ours') cut.giveBack()
  return content
}

/**
 * Throws UsageError when a device of the region is not ours, or when somebody maps the whole region. With a metadata
 * device all are ours; without one, only what dying while it was made can have left.
 */
export function refuseInUse({ name, region, layout }: FoundRegion): void {
  const isMetadata = ({ mappings }: DaxDevice) => sameRanges(mappings, [layout.metadata])
  if (region.devices.some((device) => device.driver === DEVICE_DAX && isMetadata(device))) return
  const filled = region.devices.filter((device) => device.sizeBytes > 0 && !isMetadata(device))
  const [whole] = filled
  if (whole === undefined) return
  if (whole.sizeBytes !== region.sizeBytes)
    throw new UsageError(`region ${name} was cut up by somebody else: ${cutBy(region)}`)
  // Without a driver nobody can have it mapped.
  const holder = whole.driver && findHolders(new Set([whole.number])).get(whole.number)
  if (holder) throw new UsageError(`region ${name} is in use by ${holder.program} (process ${holder.pid})`)
}

/** What the kernel made of the region at boot: device 0 has all of it, bound or not. */
export class WholeDevice {
  readonly #path: string
  readonly #device: DaxDevice | undefined
  readonly #sysfs: string

  constructor({ region }: FoundRegion, { sysfs }: Places) {
    this.#path = region.path
    this.#sysfs = sysfs
    this.#device = region.devices.find(({ sizeBytes }) => sizeBytes === region.sizeBytes)
  }

  /** Nobody maps it: `refuseInUse` has looked. Device 0 becomes empty, any other goes. */
  take(): void {
    const device = this.#device
    if (device !== undefined)
      mustWork(`destroy ${device.name}`, destroyDaxDevice({ path: this.#path }, device))
  }

  giveBack(): void {
    const device = this.#device
    if (device === undefined || !device.name.endsWith('.0')) return
    mustWork(`size of ${device.name}`, resizeDaxDevice(device, device.sizeBytes))
    if (device.driver === DEVICE_DAX) mustWork(`bind ${device.name}`, bindDaxDevice(device, this.#sysfs))
  }
}

/** First the metadata area alone: the pages of a whole region take their time to set up, and after a kexec guests wait. */
function look(instances: DaxInstances, { layout, region }: FoundRegion, judge: ImageProbe): Content {
  const metadata = must('metadata device', instances.make([layout.metadata]))
  if (isOurs(instances, metadata, judge)) return { content: 'ours' }
  mustWork(`destroy ${metadata.name}`, instances.destroy(metadata))

  const end = layout.startByte + region.sizeBytes
  for (let start = layout.startByte; start < end; start += WINDOW_BYTES) {
    const window = { start, lengthBytes: Math.min(WINDOW_BYTES, end - start) }
    const why = sample(instances, window, judge)
    if (why !== undefined) return { content: 'foreign', why }
  }
  return { content: 'zero' }
}

function sample(instances: DaxInstances, window: PhysicalRange, judge: ImageProbe): string | undefined {
  const instance = must('device to look through', instances.make([window]))
  const mapping = must(`mmap ${instance.name}`, instances.map(instance, { writable: false }))
  try {
    return foreignBytes(mapping, window.start, judge)
  } finally {
    unmapRaw(mapping)
    mustWork(`destroy ${instance.name}`, instances.destroy(instance))
  }
}

function isOurs(instances: DaxInstances, metadata: Instance, judge: ImageProbe): boolean {
  const mapping = must(`mmap ${metadata.name}`, instances.map(metadata, { writable: false }))
  try {
    return holdsImage(mapping, judge)
  } finally {
    unmapRaw(mapping)
  }
}
