/**
 * Whether a device node of /dev can be opened as it is meant to be: early in a boot it may be missing, be
 * root's alone until udev has given it its owner, or stand for a device that no driver has made yet. Must
 * not: open it.
 */
import { existsSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { deviceNumber } from './device-node.ts'

/** Tests have folders of their own. */
export interface DevicePlaces {
  readonly sysfs: string
  readonly udev: string
}

const PLACES: DevicePlaces = { sysfs: '/sys', udev: '/run/udev' }

/**
 * The module that is loaded when it is opened, by its node, does not make it: that of the processor does
 * (`kvm_init()`, virt/kvm/kvm_main.c).
 */
const KVM = '/dev/kvm'

/** 'block' or 'char', as sysfs has it. undefined: nothing is there, or no device. */
export function deviceKind(path: string): 'block' | 'char' | undefined {
  const stat = statOf(path)
  return stat && kindOf(stat)
}

const kindOf = (stat: Stats): 'block' | 'char' | undefined =>
  stat.isBlockDevice() ? 'block' : stat.isCharacterDevice() ? 'char' : undefined

/** Also undefined for a path that can be none. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

/** `path`: in /dev, also of a symlink there. */
export function isReadyDevice(path: string, { sysfs, udev }: DevicePlaces = PLACES): boolean {
  const stat = statOf(path)
  const kind = stat && kindOf(stat)
  if (stat === undefined || kind === undefined) return false
  const number = deviceNumber(stat.rdev)
  // A static node, whose driver is loaded when it is opened (systemd-tmpfiles-setup-dev.service).
  if (!existsSync(join(sysfs, 'dev', kind, number))) return kind === 'char' && path !== KVM
  // udev writes this file of each device with a number once it has set owner and mode
  // (device_update_db(), src/libsystemd/sd-device/device-private.c).
  return !existsSync(join(udev, 'control')) || existsSync(join(udev, 'data', `${kind[0]}${number}`))
}
