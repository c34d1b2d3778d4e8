/**
 * The guest address at which a guest has mapped the memory of each ivshmem. QEMU refuses to load a guest
 * whose shared memory is at another guest address (`Mismatched GPAs`, parse_ramblock() of migration/ram.c):
 * it compares them before it loads the PCI device, whose bar has the address. So the bar is set first, in a
 * QEMU that waits, by writes to its PCI configuration as firmware makes them; the load sets all of that
 * configuration again.
 *
 * Why no byte of a guest is written: the accesses are to the ports 0xcf8 and 0xcfc, and no processor runs.
 */
import * as v from 'valibot'
import { QemuError } from '../values/errors.ts'
import { pathOfDevice, readDevices } from './carry/device-facts.ts'
import { type Ask, askOf, unlessRefused } from './machine/ask.ts'
import { memdevOf } from './machine/memory-devices.ts'
import type { QmpClient } from './qmp-client.ts'

export const IvshmemAddressSchema = v.object({
  /** Ids of the device and of its memory. */
  device: v.string(),
  memory: v.string(),
  /** Of the memory, as the guest sees it. */
  address: v.number(),
})
export type IvshmemAddress = v.InferOutput<typeof IvshmemAddressSchema>

/** Ports and registers of PCI's configuration, and the bit that lets a device answer at its bars. */
const [ADDRESS_PORT, DATA_PORT] = ['0xcf8', '0xcfc']
const [COMMAND, BUS_NUMBERS, BAR_2, BAR_3] = [0x04, 0x18, 0x18, 0x1c]
const MEMORY_SPACE = 2
/** Buses in each other. */
const MOST_BUSES = 32

/** Each ivshmem with the id of its memory. Errors (QemuError): QEMU does not answer. */
export async function readIvshmems(ask: Ask): Promise<Omit<IvshmemAddress, 'address'>[]> {
  const found = [...(await readDevices(ask))].filter(([, driver]) => driver === 'ivshmem-plain')
  return await Promise.all(
    found.map(async ([device]) => {
      const memdev = await ask(v.string(), 'qom-get', { path: pathOfDevice(device), property: 'memdev' })
      return { device, memory: memdevOf({ memdev }) }
    }),
  )
}

/** Those that have an address. Errors: as of `readIvshmems`. */
export async function readIvshmemAddresses(ask: Ask): Promise<IvshmemAddress[]> {
  const ivshmems = (await readIvshmems(ask)).map(async (each) => ({
    ...each,
    address: await addressOf(ask, each.memory),
  }))
  return (await Promise.all(ivshmems)).filter(({ address }) => address !== 0)
}

/**
 * `qmp`: of a QEMU that waits for a guest. Errors (QemuError): a device is missing, or its memory cannot be
 * there.
 */
export async function setIvshmemAddresses(
  qmp: QmpClient,
  ivshmems: readonly IvshmemAddress[],
): Promise<void> {
  if (ivshmems.length === 0) return
  const ask = askOf(qmp)
  for (const { device, memory, address } of ivshmems) {
    const places = await busPathTo(ask, device)
    // Each bridge down to the device gets the next bus number: the device is on the last bus.
    const bridges = [...places.slice(0, -1).entries()]
    for (const [bus, bridge] of bridges)
      await configure(ask, bus, bridge, BUS_NUMBERS, 0xff_00_00 | ((bus + 1) << 8) | bus)
    const [bus, at] = [places.length - 1, places.at(-1) ?? 0]
    await configure(ask, bus, at, BAR_2, address % 2 ** 32)
    await configure(ask, bus, at, BAR_3, Math.floor(address / 2 ** 32))
    await configure(ask, bus, at, COMMAND, MEMORY_SPACE)
    // Another device may be below other bridges, which get the same numbers.
    for (const [above, bridge] of bridges.toReversed()) await configure(ask, above, bridge, BUS_NUMBERS, 0)
    const found = await addressOf(ask, memory)
    if (found !== address)
      throw new QemuError(
        `the memory of ${device} cannot be put where the guest has it, at 0x${address.toString(16)}`,
      )
  }
}

const addressOf = (ask: Ask, memory: string): Promise<number> =>
  ask(v.number(), 'qom-get', { path: `/objects/${memory}/${memory}[0]`, property: 'addr' })

/** Slot and function of the bridges from the first bus down to a device, and its own. */
async function busPathTo(ask: Ask, device: string): Promise<number[]> {
  const places: number[] = []
  for (let path = pathOfDevice(device); places.length < MOST_BUSES; ) {
    // The host bridge, which has the first bus, is no PCI device.
    const place = await unlessRefused(ask(v.number(), 'qom-get', { path, property: 'addr' }), undefined)
    if (place === undefined) return places
    places.unshift(place)
    const bus = await ask(v.string(), 'qom-get', { path, property: 'parent_bus' })
    path = bus.slice(0, bus.lastIndexOf('/'))
  }
  throw new QemuError(`${device} is below more than ${MOST_BUSES} buses`)
}

/** `place`: slot and function. */
async function configure(
  ask: Ask,
  bus: number,
  place: number,
  register: number,
  value: number,
): Promise<void> {
  const address = 0x80000000 + (bus << 16) + (place << 8) + register
  for (const line of [`o/4 ${ADDRESS_PORT} ${address}`, `o/4 ${DATA_PORT} ${value}`])
    await ask(v.string(), 'human-monitor-command', { 'command-line': line })
}
