/**
 * Devices that a guest has by VFIO: of the host, and of no QEMU. One process has such a device at a time, and
 * in mode cpr-reboot QEMU saves its guest only while that is suspended (`vfio_cpr_reboot_notifier`,
 * hw/vfio/cpr.c), also where the device could be migrated. Must not: bind a device.
 */
import { existsSync, readlinkSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { argumentsOf, driverOf, idOf, pairsOf, parseCommandLine } from './command-line.ts'
import type { Reading } from './machine/reading.ts'
import { optionValue } from './option-string.ts'
import type { VmDefinition } from './vm-definition.ts'

/** By the type of a device. */
export const isVfio = (type: string): boolean => type.startsWith('vfio-')

/** `TYPE "ID": on BUS`, or `TYPE number N: on BUS`. */
const PLACED = /^(vfio-\S+) (?:"([^"]+)"|number \d+): on /

/** Those of a machine that runs, by their ids, or their types where they have none. */
export const vfioOf = ({ items }: Pick<Reading, 'items'>): string[] =>
  (items.devices ?? []).flatMap((item) => {
    const [, type, id] = PLACED.exec(item) ?? []
    return type === undefined ? [] : [id ?? type]
  })

/** Whether a line names any. */
export const hasVfio = (argv: readonly string[]): boolean =>
  argumentsOf(parseCommandLine(argv), 'device').some((device) => isVfio(driverOf(device)))

const SYSFS = '/sys'

/**
 * One line for each that QEMU could not have on this host as it is now: since a kexec the host's own driver
 * may have it, until something binds it to VFIO's again. `sysfs` is for tests.
 */
export function vfioProblems({ argv, vmm }: Pick<VmDefinition, 'argv' | 'vmm'>, sysfs = SYSFS): string[] {
  if (vmm !== undefined) return []
  return argumentsOf(parseCommandLine(argv), 'device')
    .filter((device) => isVfio(driverOf(device)))
    .flatMap((device) => {
      const folder = folderOf(
        optionValue(pairsOf(device), 'host'),
        optionValue(pairsOf(device), 'sysfsdev'),
        sysfs,
      )
      return folder === undefined ? [] : problemOf(idOf(device) ?? driverOf(device), folder)
    })
}

/** undefined: the line names it another way, as one of vfio-user. */
function folderOf(host: string | undefined, sysfsdev: string | undefined, sysfs: string): string | undefined {
  if (sysfsdev !== undefined) return resolve('/', sysfsdev)
  const [, domain = '0000:', address] =
    /^([\da-f]{1,8}:)?([\da-f]{2}:[\da-f]{2}\.[0-7])$/i.exec(host ?? '') ?? []
  if (address === undefined) return undefined
  const whole = `${domain.slice(0, -1).padStart(4, '0')}:${address}`.toLowerCase()
  return `${sysfs}/bus/pci/devices/${whole}`
}

/** A driver of VFIO's registers its device below that of the host (drivers/vfio/vfio_main.c). */
function problemOf(name: string, folder: string): string[] {
  if (existsSync(`${folder}/vfio-dev`)) return []
  const device = basename(folder)
  if (!existsSync(folder)) return [`its VFIO device ${name} (${device}) is not on this host`]
  const driver = driverAt(folder)
  return [
    `its VFIO device ${name} (${device}) has ${driver === undefined ? 'no driver' : `driver ${driver}`}: bind it to vfio-pci, at each boot, by 'driverctl set-override ${device} vfio-pci' or vfio-pci.ids= on the kernel's command line`,
  ]
}

function driverAt(folder: string): string | undefined {
  try {
    return basename(readlinkSync(`${folder}/driver`))
  } catch {
    return undefined
  }
}
