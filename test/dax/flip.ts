/**
 * Owns damaging a carve-out on purpose, and undoing it: `flip.ts OFFSET` inverts one bit of the byte at OFFSET of the
 * region, `flip.ts metadata+OFFSET` of its metadata area. Twice is as if nothing had been. Through whichever device covers the byte.
 */
import { readDaxRegion } from '../../src/linux/dax.ts'
import { bindDaxDevice, unbindDaxDevice } from '../../src/linux/dax-device.ts'
import { readRaw, unmapRaw, writeRaw } from '../../src/linux/raw-memory.ts'
import { must, mustWork } from '../../src/stores/carve-out/must.ts'
import { Instances } from '../../src/stores/dax/instances.ts'
import { findDaxRegion } from '../../src/stores/dax/region.ts'

const [, area, digits] = /^(metadata\+)?(\d+)$/.exec(process.argv[2] ?? '') ?? []
if (digits === undefined) throw new Error('say which byte: OFFSET, or metadata+OFFSET')

const { region, layout } = findDaxRegion(undefined)
const address = (area === undefined ? layout.startByte : layout.metadata.start) + Number(digits)

/** Before the first mount the kernel's own device has all of it, and need not have a driver. */
const unbound = readDaxRegion(region.path)?.devices.find(
  ({ driver, sizeBytes }) => driver === undefined && sizeBytes === region.sizeBytes,
)
if (unbound !== undefined) mustWork(`bind ${unbound.name}`, bindDaxDevice(unbound))
flip(new Instances(region.path))
if (unbound !== undefined) unbindDaxDevice(unbound)

function flip(instances: Instances): void {
  for (const instance of instances.all) {
    let offset = 0
    for (const { start, lengthBytes } of instance.ranges) {
      if (address >= start && address < start + lengthBytes) {
        const mapping = must(`mmap ${instance.name}`, instances.map(instance, { writable: true }))
        const byte = new Uint8Array(1)
        readRaw(mapping, offset + address - start, byte)
        writeRaw(
          mapping,
          offset + address - start,
          byte.map((value) => value ^ 0x10),
        )
        unmapRaw(mapping)
        return
      }
      offset += lengthBytes
    }
  }
  throw new Error(`no device covers 0x${address.toString(16)}`)
}
