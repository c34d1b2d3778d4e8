/**
 * device-dax as sysfs shows it: regions of physical memory, and the devices (instances) that cover parts of
 * them. Reads alone; dax-device.ts changes them. Source: drivers/dax/bus.c. Physical addresses end below 2^52
 * and are plain numbers.
 */
import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ENOENT, type Errno } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import type { DeviceNumber } from './device-node.ts'
import { errnoOfNodeError } from './library.ts'
import type { PhysicalRange } from './memory-ranges.ts'

/** Where sysfs is mounted; tests pass a folder of their own. */
export const SYSFS = '/sys'

export interface DaxDevice {
  /** `dax0.1`: region and device. The kernel uses numbers again. */
  readonly name: string
  /** Its folder in sysfs. */
  readonly path: string
  /** Its driver: `device_dax` (it can be mapped), `kmem` (it is ordinary RAM), or none. */
  readonly driver: string | undefined
  readonly number: DeviceNumber
  readonly sizeBytes: number
  readonly alignBytes: number
  /** In the order in which its bytes go through them. */
  readonly mappings: readonly PhysicalRange[]
}

export interface DaxRegion {
  /** The number in its devices' names. */
  readonly id: number
  /** Folder of the device that offers the region, as `…/hmem.0`; it holds `dax_region/`. */
  readonly path: string
  /** Offered by a driver for soft-reserved memory: it is a carve-out. */
  readonly isCarveOut: boolean
  /** A static region (pmem) is one device for good. */
  readonly isStatic: boolean
  /** Undefined only where its devices do not show it: some have bytes, and none is empty or has all. */
  readonly startByte: number | undefined
  readonly sizeBytes: number
  readonly alignBytes: number
  /** Memory node that it would join as ordinary RAM; -1: unknown. */
  readonly targetNode: number
  /** By number. */
  readonly devices: readonly DaxDevice[]
}

/** Its physical memory; undefined: as of `startByte`. */
export const rangeOfRegion = ({ startByte, sizeBytes }: DaxRegion): PhysicalRange | undefined =>
  startByte === undefined ? undefined : { start: startByte, lengthBytes: sizeBytes }

/**
 * All regions that have a device, by id; none where there is no dax bus. Needs root. Throws SystemCallError.
 */
export function readDaxRegions(sysfs: string = SYSFS): DaxRegion[] {
  const devices = join(sysfs, 'bus/dax/devices')
  const parents = new Set(list(devices).map((name) => dirname(realpathSync(join(devices, name)))))
  return [...parents].flatMap((path) => readDaxRegion(path) ?? []).toSorted((one, other) => one.id - other.id)
}

/** The region that the device at `path` offers; undefined: it is gone. Throws SystemCallError. */
export function readDaxRegion(path: string): DaxRegion | undefined {
  const region = join(path, 'dax_region')
  const size = attribute(join(region, 'size'))
  if (size === undefined) return undefined
  const sizeBytes = Number(size)
  const devices = list(path)
    .filter((name) => DEVICE_NAME.test(name))
    .flatMap((name) => readDaxDevice(join(path, name)) ?? [])
    .toSorted((one, other) => deviceId(one.name) - deviceId(other.name))
  const first = devices[0]
  return {
    id: Number(mustHave(join(region, 'id'))),
    path,
    isCarveOut: /^hmem\.\d+$/.test(basename(path)),
    isStatic: !list(region).includes('create'),
    startByte: startOf(devices, sizeBytes),
    sizeBytes,
    alignBytes: Number(mustHave(join(region, 'align'))),
    targetNode: Number((first && attribute(join(first.path, 'target_node'))) ?? -1),
    devices,
  }
}

/** The device whose sysfs folder is `path`; undefined: there is none (any more). Throws SystemCallError. */
export function readDaxDevice(path: string): DaxDevice | undefined {
  const number = attribute(join(path, 'dev'))
  const sizeBytes = attribute(join(path, 'size'))
  if (number === undefined || sizeBytes === undefined) return undefined
  return {
    name: basename(path),
    path,
    driver: readDaxDriver(path),
    number: number as DeviceNumber,
    sizeBytes: Number(sizeBytes),
    alignBytes: Number(attribute(join(path, 'align')) ?? 0),
    mappings: readMappings(path),
  }
}

/** The driver behind the device at `path`, if any. */
export function readDaxDriver(path: string): string | undefined {
  const driver = answering(path, () => realpathSync(join(path, 'driver')))
  return driver && basename(driver)
}

const DEVICE_NAME = /^dax\d+\.\d+$/
const MAPPING_NAME = /^mapping\d+$/

/** `1` of `dax0.1`. */
const deviceId = (name: string): number => Number(name.slice(name.indexOf('.') + 1))

/**
 * The kernel uses the numbers in the names of mappings again: their order is that of the page at which they
 * begin. END is the last byte, not one past it.
 */
function readMappings(path: string): PhysicalRange[] {
  const mappings = list(path)
    .filter((name) => MAPPING_NAME.test(name))
    .map((name) => {
      const [start, end, page] = ['start', 'end', 'page_offset'].map((field) =>
        Number(mustHave(join(path, name, field))),
      ) as [number, number, number]
      return { page, range: { start, lengthBytes: end - start + 1 } }
    })
  return mappings.toSorted((one, other) => one.page - other.page).map(({ range }) => range)
}

/**
 * An empty device gives the region's start as its `resource` (resource_show); one that has all of it begins
 * where it does.
 */
function startOf(devices: readonly DaxDevice[], regionBytes: number): number | undefined {
  const showing = devices.find(({ sizeBytes }) => sizeBytes === 0 || sizeBytes === regionBytes)
  return showing && Number(mustHave(join(showing.path, 'resource')))
}

/** Names in a folder; none where there is no such folder. */
function list(path: string): string[] {
  return answering(path, () => readdirSync(path)) ?? []
}

/** An attribute's text; undefined where there is none. */
function attribute(path: string): string | undefined {
  return answering(path, () => readFileSync(path, 'latin1').trim())
}

function mustHave(path: string): string {
  const text = attribute(path)
  if (text === undefined) throw new SystemCallError(`read ${path}`, ENOENT)
  return text
}

/** A device that is removed meanwhile answers ENOENT, ENODEV or ENXIO, each with the same meaning. */
function answering<T>(path: string, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    const errno: Errno = errnoOfNodeError(error)
    if (['ENOENT', 'ENODEV', 'ENXIO'].includes(errno.name)) return undefined
    throw new SystemCallError(`read ${path}`, errno, { cause: error })
  }
}
