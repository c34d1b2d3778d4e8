/**
 * Whether a device node of /dev can be opened as it is meant to be: early in a boot it may be missing, be
 * root's alone until udev has given it its owner, or stand for a device that no driver has made yet or that
 * has no medium: an array, a map or an image that is still to be assembled has no sectors. Must not: open it.
 */
import { existsSync, readFileSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { type DeviceNumber, deviceNumber } from './device-node.ts'

/** Tests have folders of their own. */
export interface DevicePlaces {
  readonly sysfs: string
  readonly udev: string
}

const PLACES: DevicePlaces = { sysfs: '/sys', udev: '/run/udev' }

export interface Device {
  /** As sysfs and udev name it. */
  readonly kind: 'block' | 'char'
  readonly number: DeviceNumber
  /** Of 512 bytes, as sysfs counts them; null: it is no block device, or the kernel knows none. */
  readonly sectors: number | null
}

/** `path`: in /dev, also of a symlink there. undefined: nothing is there, or no device. */
export function deviceAt(path: string, { sysfs } = PLACES): Device | undefined {
  const stat = statOf(path)
  const kind = stat?.isBlockDevice() ? 'block' : stat?.isCharacterDevice() ? 'char' : undefined
  if (stat === undefined || kind === undefined) return undefined
  const number = deviceNumber(stat.rdev)
  return { kind, number, sectors: kind === 'block' ? sectorsOf(join(sysfs, 'dev/block', number)) : null }
}

/** Also undefined for a path that can be none. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

function sectorsOf(folder: string): number | null {
  try {
    return Number(readFileSync(join(folder, 'size'), 'latin1'))
  } catch {
    return null
  }
}

/**
 * The module that is loaded when it is opened, by its node, does not make it: that of the processor does
 * (`kvm_init()`, virt/kvm/kvm_main.c).
 */
const KVM = '/dev/kvm'

/** `sectors`: how many it had. */
export function isReadyDevice(
  { path, sectors }: { readonly path: string; readonly sectors: number | null },
  places: DevicePlaces = PLACES,
): boolean {
  const device = deviceAt(path, places)
  if (device === undefined || device.sectors !== sectors) return false
  const { kind, number } = device
  const { sysfs, udev } = places
  // A static node, whose driver is loaded when it is opened (systemd-tmpfiles-setup-dev.service).
  if (!existsSync(join(sysfs, 'dev', kind, number))) return kind === 'char' && path !== KVM
  // udev writes this file of each device with a number once it has set owner and mode (device_update_db(),
  // src/libsystemd/sd-device/device-private.c).
  return !existsSync(join(udev, 'control')) || existsSync(join(udev, 'data', `${kind[0]}${number}`))
}
