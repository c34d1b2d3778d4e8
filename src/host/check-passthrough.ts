/**
 * The doctor's finding about devices that guests can have by VFIO, and about their DMA while a kernel is
 * replaced. Must not: bind a device.
 */
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { kernelRelease } from '../linux/memory-info.ts'
import { type Finding, ok } from '../values/finding.ts'
import { atLeast, formatVersion, type Version } from './version.ts'

/**
 * No kernel before it keeps an IOMMU's mappings over a kexec. Whether this one does is open: patches for it
 * (iommufd, "IOMMU state preservation") were under review when 7.3 came out.
 */
const MAY_KEEP_DMA: Version = { major: 7, minor: 4 }
/** Names in one line. */
const MOST_NAMES = 3

export interface Passthrough {
  readonly release: Version
  /** Names of the IOMMUs in use. */
  readonly iommus: readonly string[]
  /** Of the host, bound to a driver of VFIO. */
  readonly devices: readonly string[]
  /** /dev/iommu, for QEMU's `-object iommufd`. */
  readonly hasIommufd: boolean
}

export const checkPassthrough = (): Finding => passthroughFinding(readPassthrough())

export function passthroughFinding({ release, iommus, devices, hasIommufd }: Passthrough): Finding {
  if (iommus.length === 0)
    return ok('passthrough', 'no IOMMU is in use: no device of this host can be passed to a guest')
  const more = devices.length > MOST_NAMES ? ` and ${devices.length - MOST_NAMES} more` : ''
  const bound = devices.length === 0 ? 'no device' : `${devices.slice(0, MOST_NAMES).join(', ')}${more}`
  return ok(
    'passthrough',
    `${bound} bound to VFIO, /dev/iommu ${hasIommufd ? 'is there' : 'is not there'}; ${dmaWords(release)}`,
  )
}

function dmaWords(release: Version): string {
  const name = `Linux ${formatVersion(release)}`
  const kept = atLeast(release, MAY_KEEP_DMA)
    ? `whether ${name} can keep DMA mappings over a kexec is not known to guestmemfs`
    : `${name} keeps no DMA mapping over a kexec (${formatVersion(MAY_KEEP_DMA)} is the first that may)`
  return `${kept}: guests with such devices are suspended for an update`
}

/** `sysfs` is for tests. */
export function readPassthrough(sysfs = '/sys'): Passthrough {
  const devices = listed(`${sysfs}/class/vfio-dev`).map((name) => deviceOf(`${sysfs}/class/vfio-dev/${name}`))
  return {
    release: kernelRelease(),
    iommus: listed(`${sysfs}/class/iommu`),
    devices: devices.toSorted(),
    hasIommufd: existsSync('/dev/iommu'),
  }
}

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

function deviceOf(entry: string): string {
  try {
    return basename(readlinkSync(`${entry}/device`))
  } catch {
    return basename(entry)
  }
}
