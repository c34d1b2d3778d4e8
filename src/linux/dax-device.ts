/**
 * Changes of device-dax instances through sysfs: make one, give it memory, bind it so that it can be mapped,
 * destroy it. Each call is one write and a read of the result, since sysfs hides errors: `new_id` ignores a
 * failed probe, and `mapping` takes a misaligned range and does nothing. Source: drivers/dax/bus.c.
 *
 * The caller must be the only process that changes this region: the kernel would let two interleave.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { basename, join } from 'node:path'
import { EBUSY, EINVAL, EIO, ENODEV, type Errno } from '../values/errno.ts'
import { type DaxDevice, type DaxRegion, readDaxDevice, readDaxDriver, SYSFS } from './dax.ts'
import { errnoOfNodeError } from './library.ts'
import type { PhysicalRange } from './memory-ranges.ts'

export const DEVICE_DAX = 'device_dax'

/**
 * A new device without memory or driver. Errors: ENOSPC (the region has no byte left), ENODEV (it is gone).
 */
export function createDaxDevice(region: Pick<DaxRegion, 'path'>): DaxDevice | Errno {
  const create = join(region.path, 'dax_region/create')
  const failed = write(create, '1')
  if (failed) return failed
  // Reading it gives the youngest device's name (create_show).
  const name = readFileSync(create, 'latin1').trim()
  const device = name === '' ? undefined : readDaxDevice(join(region.path, name))
  return device === undefined ? ENODEV : device.sizeBytes === 0 ? device : EBUSY
}

/**
 * What an unbound device aligns its mappings to: 2 MiB or 1 GiB. Errors: EINVAL (the CPU cannot, or its
 * memory does not fit), EBUSY (bound).
 */
export function alignDaxDevice(device: DaxDevice, alignBytes: number): Errno | undefined {
  return write(join(device.path, 'align'), String(alignBytes))
}

/**
 * Gives an unbound device these ranges, one after the other, and none but these. Errors: ENOMEM (one belongs
 * to another device, or does not lie in the region), EINVAL (not aligned), EBUSY (bound: the kernel would
 * take a range, and its driver would not use it). After an error the device may have some of them.
 */
export function mapDaxDevice(device: DaxDevice, ranges: readonly PhysicalRange[]): Errno | undefined {
  if (readDaxDriver(device.path) !== undefined) return EBUSY
  for (const { start, lengthBytes } of ranges) {
    const last = start + lengthBytes - 1
    const failed = write(join(device.path, 'mapping'), `${start.toString(16)}-${last.toString(16)}`)
    if (failed) return failed
  }
  return sameRanges(readDaxDevice(device.path)?.mappings ?? [], ranges) ? undefined : EINVAL
}

/**
 * Binds the driver that lets it be mapped. `new_id` also binds every other device on the driver's list, so
 * this removes the name from the list at once: no half-made device is ever on it. Errors: ENODEV (no driver
 * device_dax: its module is not loaded), EIO (the driver did not bind it; see the kernel's log), EBUSY
 * (another driver has it).
 */
export function bindDaxDevice(device: DaxDevice, sysfs: string = SYSFS): Errno | undefined {
  const driver = join(sysfs, 'bus/dax/drivers', DEVICE_DAX)
  const failed = write(join(driver, 'new_id'), device.name)
  const unlisted = write(join(driver, 'remove_id'), device.name)
  if (failed ?? unlisted) return failed ?? unlisted
  const bound = readDaxDriver(device.path)
  if (bound === DEVICE_DAX) return undefined
  return bound === undefined ? EIO : EBUSY
}

/**
 * Unbinds its driver. The kernel does not refuse while it is mapped: a process that still maps it gets SIGBUS
 * at the next access, so the caller must look for holders before. Returns when no page of it is in use any
 * more, which pinned pages delay. No error where it has no driver.
 */
export function unbindDaxDevice(device: Pick<DaxDevice, 'path'>): Errno | undefined {
  if (readDaxDriver(device.path) === undefined) return undefined
  const failed = write(join(device.path, 'driver/unbind'), basename(device.path))
  return readDaxDriver(device.path) === undefined ? undefined : (failed ?? EBUSY)
}

/**
 * How much of the region an unbound device has, from the lowest free byte on; 0 gives all back. Errors: EBUSY
 * (bound), ENOSPC, EINVAL.
 */
export function resizeDaxDevice(device: Pick<DaxDevice, 'path'>, sizeBytes: number): Errno | undefined {
  const failed = write(join(device.path, 'size'), String(sizeBytes))
  if (failed) return failed
  return readDaxDevice(device.path)?.sizeBytes === sizeBytes ? undefined : EIO
}

/**
 * Unbinds it, removes its memory, and deletes it; the region's device 0 always stays, empty. After a crash
 * between two steps a further call does the rest. No error where it is gone. Errors: EBUSY.
 */
export function destroyDaxDevice(region: Pick<DaxRegion, 'path'>, device: DaxDevice): Errno | undefined {
  if (readDaxDevice(device.path) === undefined) return undefined
  const failed = unbindDaxDevice(device) ?? resizeDaxDevice(device, 0)
  if (failed) return failed
  return device.name.endsWith('.0') ? undefined : write(join(region.path, 'dax_region/delete'), device.name)
}

export function sameRanges(one: readonly PhysicalRange[], other: readonly PhysicalRange[]): boolean {
  return (
    one.length === other.length &&
    one.every(
      ({ start, lengthBytes }, index) =>
        start === other[index]?.start && lengthBytes === other[index]?.lengthBytes,
    )
  )
}

/** One write(2), as sysfs requires, on a descriptor without other rights. */
function write(path: string, text: string): Errno | undefined {
  try {
    const fd = openSync(path, constants.O_WRONLY)
    try {
      writeSync(fd, `${text}\n`)
      return undefined
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    const errno = errnoOfNodeError(error)
    return errno.name === 'ENOENT' ? ENODEV : errno
  }
}
