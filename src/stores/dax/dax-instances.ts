/**
 * The devices of device-dax in a pool's region: the list, making one that covers given ranges, destroying
 * one. Nothing else changes the region, and one thread at a time uses this.
 *
 * A process that dies between any two writes leaves only what `clearLeftovers` finds: a device without a
 * driver. No process can map such a one, so it is destroyed. A device is bound only when it is complete and
 * checked, and unbound before any range is removed from it.
 */
import { closeSync, constants, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { type DaxDevice, type DaxRegion, readDaxRegion, SYSFS } from '../../linux/dax.ts'
import {
  alignDaxDevice,
  bindDaxDevice,
  createDaxDevice,
  DEVICE_DAX,
  destroyDaxDevice,
  mapDaxDevice,
  sameRanges,
} from '../../linux/dax-device.ts'
import { makeDeviceNode, removeNode } from '../../linux/device-node.ts'
import { findHolders, type Holder } from '../../linux/holders.ts'
import { errnoOfNodeError } from '../../linux/library.ts'
import { anyOverlap, type PhysicalRange } from '../../linux/memory-ranges.ts'
import { mapRaw, type RawMapping } from '../../linux/raw-memory.ts'
import { ENODEV, Errno } from '../../values/errno.ts'
import { SystemCallError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { PUD_BYTES } from '../../values/units.ts'
import type { Instance, RangeMapper } from '../carve-out/range-mapper.ts'
import { BLOCK_BYTES } from '../store.ts'

/** The folder of the nodes; on devtmpfs, never on a FUSE mount (see linux/device-node.ts). */
export const NODE_ROOT = '/dev/guestmemfs'

/** Where sysfs and the nodes are; tests have folders of their own. */
export interface Places {
  readonly sysfs: string
  readonly nodeRoot: string
}

export const PLACES: Places = { sysfs: SYSFS, nodeRoot: NODE_ROOT }

export class DaxInstances implements RangeMapper {
  readonly #path: string
  readonly #places: Places
  readonly #onTask: (() => void) | undefined
  readonly #all = new Map<string, DaxDevice>()

  /**
   * Reads the instances of the region whose sysfs folder is `path`. `onTask`: see `runWorker`. Throws
   * SystemCallError ENODEV where it is gone.
   */
  constructor(path: string, places: Places = PLACES, onTask?: () => void) {
    this.#path = path
    this.#places = places
    this.#onTask = onTask
    for (const device of this.#region().devices)
      if (device.driver === DEVICE_DAX) this.#all.set(device.name, device)
  }

  get all(): Instance[] {
    return [...this.#all.values()].map(asInstance)
  }

  /** The instance that covers these ranges in this order, and nothing else. */
  exactly(ranges: readonly PhysicalRange[]): Instance | undefined {
    return this.all.find((instance) => sameRanges(instance.ranges, ranges))
  }

  overlapping(ranges: readonly PhysicalRange[]): Instance[] {
    return this.all.filter((instance) => anyOverlap(instance.ranges, ranges))
  }

  /** Destroys unbound devices: see the crash argument above. Device 0 becomes empty and stays. */
  clearLeftovers(): void {
    for (const device of this.#region().devices) {
      if (device.driver !== undefined || (device.sizeBytes === 0 && device.name.endsWith('.0'))) continue
      const failed = destroyDaxDevice({ path: this.#path }, device)
      if (failed) throw new SystemCallError(`destroy ${device.name}`, failed)
    }
  }

  /**
   * Errors: ENOMEM (another instance has part of the ranges), ENOSPC, EIO (the driver did not bind it: no
   * memory for its pages), ENODEV.
   */
  make(ranges: readonly PhysicalRange[], { gigantic = false } = {}): Instance | Errno {
    const region = { path: this.#path }
    const device = createDaxDevice(region)
    if (device instanceof Errno) return device
    const failed =
      alignTo(device, gigantic ? PUD_BYTES : BLOCK_BYTES) ??
      mapDaxDevice(device, ranges) ??
      bindDaxDevice(device, this.#places.sysfs)
    if (failed) {
      destroyDaxDevice(region, device)
      return failed
    }
    // The mappings are `ranges`: mapDaxDevice has compared them with what the kernel shows.
    this.#all.set(device.name, { ...device, driver: DEVICE_DAX, mappings: ranges })
    return { name: device.name, number: device.number, ranges }
  }

  /** The caller has checked that no process maps it. Errors: EBUSY. */
  destroy({ name }: Instance): Errno | undefined {
    const device = this.#all.get(name)
    if (device === undefined) return undefined
    const failed = destroyDaxDevice({ path: this.#path }, device)
    if (failed === undefined) this.#all.delete(name)
    return failed
  }

  /**
   * A descriptor of it for this process, close-on-exec, through a node that no other program opens, so that
   * it need wait neither for udev nor for the node that devtmpfs makes. Errors: ENXIO (unbound), EMFILE.
   */
  open({ name, number }: Instance, { writable }: { writable: boolean }): Fd | Errno {
    mkdirSync(this.#places.nodeRoot, { recursive: true, mode: 0o755 })
    const node = join(this.#places.nodeRoot, `.${name}`)
    const failed = makeDeviceNode(node, number, { uid: 0, gid: 0, mode: 0o600 })
    if (failed) return failed
    try {
      return openSync(node, writable ? constants.O_RDWR : constants.O_RDONLY) as Fd
    } catch (error) {
      return errnoOfNodeError(error)
    } finally {
      removeNode(node)
    }
  }

  /** All of it, mapped by address. Errors: those of `open` and of mapRaw. */
  map(instance: Instance, { writable }: { writable: boolean }): RawMapping | Errno {
    const fd = this.open(instance, { writable })
    if (fd instanceof Errno) return fd
    try {
      return mapRaw(fd, lengthOf(instance.ranges), { writable })
    } finally {
      closeSync(fd)
    }
  }

  holders(instances: readonly Instance[]): Map<string, Holder> {
    const held = findHolders(new Set(instances.map(({ number }) => number)), '/proc', this.#onTask)
    return new Map(
      instances.flatMap(({ name, number }) => {
        const by = held.get(number)
        return by === undefined ? [] : [[name, by] as const]
      }),
    )
  }

  #region(): DaxRegion {
    const region = readDaxRegion(this.#path)
    if (region === undefined) throw new SystemCallError(`read ${this.#path}`, ENODEV)
    return region
  }
}

/** A device of gigantic pages can be mapped only at addresses that are aligned to them. */
const alignTo = (device: DaxDevice, bytes: number): Errno | undefined =>
  device.alignBytes === bytes ? undefined : alignDaxDevice(device, bytes)

export const lengthOf = (ranges: readonly PhysicalRange[]): number =>
  ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)

const asInstance = ({ name, number, mappings }: DaxDevice): Instance => ({ name, number, ranges: mappings })
