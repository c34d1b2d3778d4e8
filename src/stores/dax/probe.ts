/**
 * What a region holds before a pool is made or opened in it: an image of guestmemfs, nothing, or other data.
 * Must not: write a byte of the region. The check may change the region's devices, and `restore` undoes that,
 * so that a refusal leaves everything as it was; a process that dies in between leaves an empty device 0, and
 * the bytes.
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
import { must } from '../../linux/library.ts'
import { type PhysicalRange, rangeEnd } from '../../linux/memory-ranges.ts'
import { unmapRaw } from '../../linux/raw-memory.ts'
import { UsageError } from '../../values/errors.ts'
import { GIB } from '../../values/units.ts'
import { foreignBytes, holdsImage } from '../carve-out/image-probe.ts'
import type { Instance } from '../carve-out/range-mapper.ts'
import type { Content, ImageProbe } from '../driver.ts'
import { DaxInstances, PLACES, type Places } from './dax-instances.ts'
import { destroyAdvice, type FoundRegion } from './region.ts'

/**
 * The process reads so much at a time: for each GiB the kernel takes some MiB of ordinary RAM for struct
 * pages, and a host keeps little for itself.
 */
const PIECE_BYTES = 16 * GIB

/** Errors: UsageError when another program uses the region. */
export function probeRegion(found: FoundRegion, probe: ImageProbe, places: Places = PLACES): Content {
  refuseInUse(found)
  const instances = new DaxInstances(found.region.path, places)
  const metadata = instances.exactly([found.layout.metadata])
  if (metadata !== undefined) {
    if (isOurs(instances, metadata, probe)) return { content: 'ours' }
    // A mount made its devices and never formatted it. Where there are other devices, the image is damaged,
    // and guests may map them.
    if (instances.all.length > 1) return { content: 'foreign', why: 'its metadata area holds no image' }
    must(instances.destroy(metadata), `destroy ${metadata.name}`)
  }
  const device = new WholeDevice(found, places)
  device.take()
  instances.clearLeftovers()
  const content = look(instances, found, probe)
  if (content.content !== 'ours') device.restore()
  return content
}

/**
 * Throws UsageError where guestmemfs did not make a device of the region, or where a process maps the whole
 * region. With a metadata device all are guestmemfs' own; without one, only what a process left that died
 * while making it.
 */
export function refuseInUse({ name, region, layout }: FoundRegion): void {
  const isMetadata = ({ mappings }: DaxDevice) => sameRanges(mappings, [layout.metadata])
  if (region.devices.some((device) => device.driver === DEVICE_DAX && isMetadata(device))) return
  const filled = region.devices.filter((device) => device.sizeBytes > 0 && !isMetadata(device))
  const [whole] = filled
  if (whole === undefined) return
  if (whole.sizeBytes !== region.sizeBytes)
    throw new UsageError(`region ${name} has devices that guestmemfs did not make: ${destroyAdvice(region)}`)
  // Without a driver no process can have it mapped.
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

  /** No process maps it: `refuseInUse` has checked that. Device 0 becomes empty, any other is destroyed. */
  take(): void {
    const device = this.#device
    if (device !== undefined) must(destroyDaxDevice({ path: this.#path }, device), `destroy ${device.name}`)
  }

  restore(): void {
    const device = this.#device
    if (device === undefined || !device.name.endsWith('.0')) return
    must(resizeDaxDevice(device, device.sizeBytes), `size of ${device.name}`)
    if (device.driver === DEVICE_DAX) must(bindDaxDevice(device, this.#sysfs), `bind ${device.name}`)
  }
}

/**
 * First the metadata area alone: the kernel needs time to set up the struct pages of a whole region, and
 * after a kexec guests wait.
 */
function look(instances: DaxInstances, { layout }: FoundRegion, probe: ImageProbe): Content {
  const metadata = must(instances.make([layout.metadata]), 'metadata device')
  if (isOurs(instances, metadata, probe)) return { content: 'ours' }
  must(instances.destroy(metadata), `destroy ${metadata.name}`)

  const end = rangeEnd(layout.range)
  for (let start = layout.range.start; start < end; start += PIECE_BYTES) {
    const piece = { start, lengthBytes: Math.min(PIECE_BYTES, end - start) }
    const why = sample(instances, piece, probe)
    if (why !== undefined) return { content: 'foreign', why }
  }
  return { content: 'zero' }
}

function sample(instances: DaxInstances, piece: PhysicalRange, probe: ImageProbe): string | undefined {
  const instance = must(instances.make([piece]), 'device to look through')
  const mapping = must(instances.map(instance, { writable: false }), `mmap ${instance.name}`)
  try {
    return foreignBytes(mapping, piece.start, probe)
  } finally {
    unmapRaw(mapping)
    must(instances.destroy(instance), `destroy ${instance.name}`)
  }
}

function isOurs(instances: DaxInstances, metadata: Instance, probe: ImageProbe): boolean {
  const mapping = must(instances.map(metadata, { writable: false }), `mmap ${metadata.name}`)
  try {
    return holdsImage(mapping, probe)
  } finally {
    unmapRaw(mapping)
  }
}
