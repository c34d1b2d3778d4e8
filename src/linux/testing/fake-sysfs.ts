/**
 * A folder that looks like sysfs's dax bus, for tests of what is read and decided. Writes to it have no
 * effects: those are the kernel's.
 */
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PMD_BYTES } from '../../values/units.ts'
import type { PhysicalRange } from '../memory-ranges.ts'

export interface FakeDevice {
  readonly number: string
  readonly driver?: string
  /** In the order of their pages; the folders are numbered backwards, since their numbers mean nothing. */
  readonly mappings?: readonly PhysicalRange[]
}

export interface FakeDaxRegion {
  readonly id: number
  readonly start: number
  readonly sizeBytes: number
  /** Default `hmem.ID`. */
  readonly parent?: string
  readonly isStatic?: boolean
  readonly alignBytes?: number
  /** Device 0 first. Default: device 0 has the whole region and no driver, as after boot. */
  readonly devices?: readonly FakeDevice[]
}

/** Returns the folder. */
export function fakeSysfs(regions: readonly FakeDaxRegion[], drivers = ['device_dax']): string {
  const sysfs = mkdtempSync(join(tmpdir(), 'guestmemfs-sysfs-'))
  for (const driver of drivers) mkdirSync(join(sysfs, 'bus/dax/drivers', driver), { recursive: true })
  mkdirSync(join(sysfs, 'bus/dax/devices'), { recursive: true })
  for (const region of regions) addRegion(sysfs, region)
  return sysfs
}

function addRegion(sysfs: string, region: FakeDaxRegion): void {
  const { id, start, sizeBytes, alignBytes = PMD_BYTES } = region
  const path = join(sysfs, 'devices/platform', region.parent ?? `hmem.${id}`)
  attributes(join(path, 'dax_region'), {
    id,
    size: sizeBytes,
    align: alignBytes,
    ...(region.isStatic ? {} : { create: '', delete: '' }),
  })
  const whole: FakeDevice = { number: `250:${id * 100}`, mappings: [{ start, lengthBytes: sizeBytes }] }
  for (const [index, device] of (region.devices ?? [whole]).entries()) {
    const name = `dax${id}.${index}`
    const mappings = device.mappings ?? []
    attributes(join(path, name), {
      dev: device.number,
      size: mappings.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
      align: alignBytes,
      resource: hex(mappings[0]?.start ?? start),
      target_node: 1,
    })
    let page = 0
    for (const [at, mapping] of mappings.entries()) {
      const end = mapping.start + mapping.lengthBytes - 1
      const folder = join(path, name, `mapping${mappings.length - 1 - at}`)
      attributes(folder, { start: hex(mapping.start), end: hex(end), page_offset: hex(page) })
      page += mapping.lengthBytes / 4096
    }
    if (device.driver !== undefined) {
      mkdirSync(join(sysfs, 'bus/dax/drivers', device.driver), { recursive: true })
      symlinkSync(join(sysfs, 'bus/dax/drivers', device.driver), join(path, name, 'driver'))
    }
    symlinkSync(join(path, name), join(sysfs, 'bus/dax/devices', name))
  }
}

function attributes(folder: string, values: Readonly<Record<string, string | number>>): void {
  mkdirSync(folder, { recursive: true })
  for (const [name, value] of Object.entries(values)) writeFileSync(join(folder, name), `${value}\n`)
}

const hex = (value: number): string => `0x${value.toString(16)}`
