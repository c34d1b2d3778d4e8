/**
 * What must be equal in the QEMU that runs and in the one that the trial starts: the block graph, the place
 * of every device, the processors, memory devices, and each property of a device that was plugged.
 */
import * as v from 'valibot'
import { hasConfiguredMac } from '../generated-ids.ts'
import { type Ask, unlessRefused } from '../machine/ask.ts'
import { minus } from '../machine/differences.ts'
import { memoryItem, readMemoryDevices } from '../machine/memory-devices.ts'
import { processorItem, readProcessors } from '../machine/processors.ts'
import { blockFacts, readBlockGraph } from './block-graph.ts'
import { pathOfDevice, readDevice, readDevices } from './device-facts.ts'

const PciSchema = v.array(
  v.object({
    devices: v.array(
      v.object({
        slot: v.number(),
        function: v.number(),
        qdev_id: v.string(),
        id: v.object({ vendor: v.number(), device: v.number() }),
      }),
    ),
  }),
)

/** `plugged`: ids of the devices whose properties count. One line for each fact. Errors: QemuError. */
export async function machineFacts(ask: Ask, plugged: readonly string[]): Promise<string[]> {
  const [graph, buses, drivers, processors, memory] = await Promise.all([
    readBlockGraph(ask),
    // A machine without PCI has no such command.
    unlessRefused(ask(PciSchema, 'query-pci'), []),
    readDevices(ask),
    readProcessors(ask),
    readMemoryDevices(ask),
  ])
  const [places, devices] = await Promise.all([
    Promise.all([...drivers].map(([id, driver]) => placeOf(ask, id, driver))),
    Promise.all(plugged.map((id) => deviceFact(ask, id, drivers.get(id)))),
  ])
  return [
    ...blockFacts(graph),
    ...(buses[0]?.devices ?? []).map(onRootBus),
    ...processors.map(processorItem),
    ...memory.map((device) => `memory device ${memoryItem(device)}`),
    ...places,
    ...devices,
  ]
}

/** The root bus only: the guest numbers the buses below it, and in the next QEMU no guest has done so yet. */
function onRootBus(device: v.InferOutput<typeof PciSchema>[number]['devices'][number]): string {
  const { slot, function: part, qdev_id: id, id: kind } = device
  return `PCI ${slot}.${part}: ${id} ${kind.vendor.toString(16)}:${kind.device.toString(16)}`
}

/** Whether it is the fact of the device with this id on the root bus. */
export const isOfPci = (fact: string, id: string): boolean => /^PCI [\d.]+: (\S*) /.exec(fact)?.[1] === id

/**
 * Properties that say where a device is on its bus (PCI, SCSI, virtio-serial, NVMe, IDE) and in the boot
 * order.
 */
const PLACES = ['parent_bus', 'addr', 'channel', 'scsi-id', 'lun', 'nr', 'nsid', 'unit', 'bootindex']

/**
 * The bus and the place of a device with an id, by which QEMU finds its state in the stream, and the address
 * of a NIC.
 */
async function placeOf(ask: Ask, id: string, driver: string): Promise<string> {
  const properties = hasConfiguredMac(driver) ? [...PLACES, 'mac'] : PLACES
  const values = await Promise.all(
    properties.map((property) =>
      unlessRefused(ask(v.unknown(), 'qom-get', { path: pathOfDevice(id), property }), 'none'),
    ),
  )
  return `device ${id} at ${values.join(' ')}`
}

const deviceFact = async (ask: Ask, id: string, driver: string | undefined): Promise<string> =>
  driver === undefined ? `no device ${id}` : `device ${JSON.stringify(await readDevice(ask, id, driver))}`

/** The first fact that one of the two has and the other has not; undefined: they are equal. */
export const firstOther = (running: readonly string[], next: readonly string[]): string | undefined =>
  minus(running, next)[0] ?? minus(next, running)[0]
