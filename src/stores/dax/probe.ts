/**
 * Owns the question what a region holds before it becomes, or is, our pool: our image, nothing, or somebody's data.
 * No byte of the region is written here. The cut of the region may change while looking and is put back, so
 * that a refusal leaves everything as it was; dying in between leaves an empty device 0, and the bytes.
 */

import type { DaxDevice, PhysicalRange } from '../../linux/dax.ts'
import {
  bindDaxDevice,
  DEVICE_DAX,
  destroyDaxDevice,
  resizeDaxDevice,
  sameRanges,
} from '../../linux/dax-device.ts'
import { findHolders } from '../../linux/holders.ts'
import { readRaw, unmapRaw } from '../../linux/raw-memory.ts'
import { Errno } from '../../values/errno.ts'
import { SystemCallError, UsageError } from '../../values/errors.ts'
import { BLOCK_BYTES } from '../store.ts'
import { type Instance, Instances, PLACES, type Places } from './instances.ts'
import { cutBy, type FoundRegion } from './region.ts'

/** What the beginning of a metadata area is: judged by whoever knows the image (`probe` of fs/image/header.ts). */
export type Judge = (firstBytes: Uint8Array) => 'image' | 'unfinished' | 'blank' | 'foreign'

export type Content =
  /** An image of ours, or one whose making never ended: open it. */
  | { readonly content: 'ours' }
  /** The first page of every block is zero: it may be formatted. */
  | { readonly content: 'zero' }
  /** Somebody's data, or what the last owner of this RAM left: only ever overwritten when that was asked for. `why`: for people. */
  | { readonly content: 'foreign'; readonly why: string }

const PAGE_BYTES = 4096
/** Looked through at a time: each GiB takes some MiB of ordinary RAM for its pages, and a host keeps little for itself. */
const WINDOW_BYTES = 16 * 2 ** 30

/** Errors: UsageError when somebody else uses the region. */
export function probeRegion(found: FoundRegion, judge: Judge, places: Places = PLACES): Content {
  refuseInUse(found)
  const instances = new Instances(found.region.path, places)
  const metadata = instances.exactly([found.layout.metadata])
  if (metadata !== undefined) {
    const judged = judge(firstPage(instances, metadata))
    if (judged === 'image' || judged === 'unfinished') return { content: 'ours' }
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
function look(instances: Instances, { layout, region }: FoundRegion, judge: Judge): Content {
  const metadata = must('metadata device', instances.make([layout.metadata]))
  const judged = judge(firstPage(instances, metadata))
  if (judged === 'image' || judged === 'unfinished') return { content: 'ours' }
  mustWork(`destroy ${metadata.name}`, instances.destroy(metadata))

  const end = layout.startByte + region.sizeBytes
  for (let start = layout.startByte; start < end; start += WINDOW_BYTES) {
    const window = { start, lengthBytes: Math.min(WINDOW_BYTES, end - start) }
    const why = sample(instances, window, judge)
    if (why !== undefined) return { content: 'foreign', why }
  }
  return { content: 'zero' }
}

/** Returns what is wrong: RAM that somebody used has hardly a block whose first page is zero; none at all is asked for here. */
function sample(instances: Instances, window: PhysicalRange, judge: Judge): string | undefined {
  const instance = must('device to look through', instances.make([window]))
  const mapping = must(`mmap ${instance.name}`, instances.map(instance, { writable: false }))
  const page = Buffer.alloc(PAGE_BYTES)
  const zeros = Buffer.alloc(PAGE_BYTES)
  try {
    for (let offset = 0; offset < window.lengthBytes; offset += BLOCK_BYTES) {
      readRaw(mapping, offset, page)
      if (page.equals(zeros)) continue
      const at = `0x${(window.start + offset).toString(16)}`
      return judge(page) === 'image'
        ? `it holds an image at ${at}, made when the region had another size or place: boot with the memmap= of then`
        : `it holds data that is not ours, at ${at}`
    }
    return undefined
  } finally {
    unmapRaw(mapping)
    mustWork(`destroy ${instance.name}`, instances.destroy(instance))
  }
}

function firstPage(instances: Instances, instance: Instance): Uint8Array {
  const mapping = must(`mmap ${instance.name}`, instances.map(instance, { writable: false }))
  const page = new Uint8Array(PAGE_BYTES)
  readRaw(mapping, 0, page)
  unmapRaw(mapping)
  return page
}

/** For steps that only a broken machine refuses. Throws SystemCallError. */
export function must<T>(what: string, result: T | Errno): T {
  if (result instanceof Errno) throw new SystemCallError(what, result)
  return result
}

export function mustWork(what: string, failed: Errno | undefined): void {
  if (failed) throw new SystemCallError(what, failed)
}
