/**
 * The choice of a pool's region, and refusals of one that cannot hold a pool. A region is named by its first
 * byte (`0x100000000` or `4G`), by its device 0 (`dax0.0`), or by its number (`dax0`): the next kernel may
 * give that number to another region. Must not: change anything.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type DaxRegion, rangeOfRegion, readDaxRegions, SYSFS } from '../../linux/dax.ts'
import { DEVICE_DAX } from '../../linux/dax-device.ts'
import { readMemoryNodes } from '../../linux/memory-nodes.ts'
import { UsageError } from '../../values/errors.ts'
import { parseAddress } from '../../values/size.ts'
import { layOut, nodesIn, type RegionLayout } from '../carve-out/layout.ts'
import type { NodePart } from '../store.ts'

export interface FoundRegion {
  /** `dax0.0`. */
  readonly name: string
  readonly region: DaxRegion
  readonly layout: RegionLayout
  readonly nodes: readonly NodePart[]
}

/** `wanted` undefined: the only carve-out there is. Throws UsageError: one line that says what to do. */
export function findDaxRegion(wanted: string | undefined, sysfs: string = SYSFS): FoundRegion {
  const regions = readDaxRegions(sysfs)
  const region = wanted === undefined ? onlyCarveOut(regions) : named(regions, wanted)
  const name = regionName(region)
  refuseUnusable(region, name)
  if (!existsSync(join(sysfs, 'bus/dax/drivers', DEVICE_DAX)))
    throw new UsageError("the driver device_dax is not loaded: load it with 'modprobe device_dax'")
  const range = rangeOfRegion(region)
  if (range === undefined)
    throw new UsageError(`region ${name} has devices that guestmemfs did not make: ${destroyAdvice(region)}`)
  const layout = layOut(range, name)
  return { name, region, layout, nodes: nodesIn(layout, readMemoryNodes(sysfs, [region])) }
}

/**
 * Two mounts of one region exclude each other by a lock of this name: its address, which no renumbering of
 * devices changes.
 */
export const regionLockName = ({ layout }: FoundRegion): string => `dax-${layout.range.start.toString(16)}`

export const regionName = ({ id }: DaxRegion): string => `dax${id}.0`

/** How the operator who made these devices destroys them again. */
export function destroyAdvice({ devices }: DaxRegion): string {
  const names = devices.filter(({ sizeBytes }) => sizeBytes > 0).map(({ name }) => name)
  return `remove ${names.join(', ')} with 'daxctl destroy-device'`
}

function onlyCarveOut(regions: readonly DaxRegion[]): DaxRegion {
  const carveOuts = regions.filter(({ isCarveOut }) => isCarveOut)
  const [first, second] = carveOuts
  if (first === undefined)
    throw new UsageError(
      "there is no carve-out: set memory aside at boot ('guestmemfs reserve' says how), and load dax_hmem and device_dax",
    )
  if (second !== undefined)
    throw new UsageError(
      `there are several carve-outs: say which one with region=, of ${carveOuts.map(bothNames).join(', ')}`,
    )
  return first
}

/** The one that lasts first. */
const bothNames = (region: DaxRegion): string =>
  region.startByte === undefined
    ? regionName(region)
    : `0x${region.startByte.toString(16)} (${regionName(region)})`

function named(regions: readonly DaxRegion[], wanted: string): DaxRegion {
  const isAddress = /^(?:0x[0-9a-f]{1,13}|\d+[KMGT])$/i.test(wanted)
  const start = isAddress ? parseAddress(wanted, 'region') : undefined
  const found = regions.find((region) =>
    start === undefined
      ? wanted === regionName(region) || wanted === `dax${region.id}`
      : region.startByte === start,
  )
  if (found !== undefined) return found
  const names = regions.map(bothNames).join(', ')
  throw new UsageError(
    `there is no region ${wanted}: ${names === '' ? 'there is none at all' : `there are ${names}`}`,
  )
}

function refuseUnusable({ devices, isStatic }: DaxRegion, name: string): void {
  const claimed = devices.find(({ driver }) => driver === 'kmem')
  if (claimed !== undefined)
    throw new UsageError(
      `region ${name} is ordinary RAM now, claimed by kmem: boot with modprobe.blacklist=kmem`,
    )
  if (isStatic)
    throw new UsageError(
      `region ${name} cannot be cut into devices: it is persistent memory, not a carve-out`,
    )
}
