/** Changes bytes of a carve-out past its server, through the device that covers them. */
import { readDaxRegion } from '../../../src/linux/dax.ts'
import { bindDaxDevice, unbindDaxDevice } from '../../../src/linux/dax-device.ts'
import { must } from '../../../src/linux/library.ts'
import { readRaw, unmapRaw, writeRaw } from '../../../src/linux/raw-memory.ts'
import { DaxInstances } from '../../../src/stores/dax/dax-instances.ts'
import { findDaxRegion } from '../../../src/stores/dax/region.ts'

/**
 * `where` returns the address by the layout of the only region. Replaces the `length` bytes there by what
 * `to` returns for them.
 */
export function changeBytes(
  where: (layout: ReturnType<typeof findDaxRegion>['layout']) => number,
  length: number,
  to: (bytes: Uint8Array) => Uint8Array,
): void {
  const { region, layout } = findDaxRegion(undefined)
  /** Before the first mount the device that the kernel made covers all of it, and may have no driver. */
  const unbound = readDaxRegion(region.path)?.devices.find(
    ({ driver, sizeBytes }) => driver === undefined && sizeBytes === region.sizeBytes,
  )
  if (unbound !== undefined) must(bindDaxDevice(unbound), `bind ${unbound.name}`)
  change(new DaxInstances(region.path), where(layout), length, to)
  if (unbound !== undefined) unbindDaxDevice(unbound)
}

function change(
  instances: DaxInstances,
  address: number,
  length: number,
  to: (bytes: Uint8Array) => Uint8Array,
): void {
  for (const instance of instances.all) {
    let offset = 0
    for (const { start, lengthBytes } of instance.ranges) {
      if (address >= start && address < start + lengthBytes) {
        const mapping = must(instances.map(instance, { writable: true }), `mmap ${instance.name}`)
        const bytes = new Uint8Array(length)
        readRaw(mapping, offset + address - start, bytes)
        writeRaw(mapping, offset + address - start, to(bytes))
        unmapRaw(mapping)
        return
      }
      offset += lengthBytes
    }
  }
  throw new Error(`no device covers 0x${address.toString(16)}`)
}
