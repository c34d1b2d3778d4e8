/**
 * QEMU's device tree as the human monitor prints it (`info qtree`): every device with every property, those
 * of the board among them. QMP has no command for it before QEMU 10.1.
 */

/** `dev: virtio-net-pci, id "nic0"`, indented by two for each level. */
const DEVICE = /^( *)dev: (\S+?), id "(.*)"$/
const BUS = /^( *)bus: (.+)$/
/**
 * `netdev = "n0"`. Lines of other kinds show what the guest has set (addresses of PCI windows and USB
 * devices), or follow from the type.
 */
const PROPERTY = /^ *(\S+) = (.*)$/

/**
 * One item for each device: `TYPE "ID": on BUS`; a device without an id is numbered among those of its type.
 * One more for each property of a device with an id, `TYPE "ID": NAME = VALUE`: properties of the board's own
 * devices show what the guest has set (`MCFG`), and the operator cannot plug those.
 */
export function deviceItems(tree: string): string[] {
  const items: string[] = []
  const seen = new Map<string, number>()
  const buses: { indent: number; name: string }[] = []
  /** The device whose properties follow, if it has an id. */
  let device: string | undefined
  for (const line of tree.split(/\r?\n/)) {
    const bus = BUS.exec(line)
    const found = DEVICE.exec(line)
    if (bus) {
      const [, { length: indent }, name] = bus as unknown as [string, string, string]
      unwind(buses, indent)
      buses.push({ indent, name })
      device = undefined
    } else if (found) {
      const [, { length: indent }, type, id] = found as unknown as [string, string, string, string]
      unwind(buses, indent)
      const place = seen.get(type) ?? 0
      seen.set(type, place + 1)
      device = id === '' ? undefined : `${type} "${id}"`
      items.push(`${device ?? `${type} number ${place + 1}`}: on ${buses.at(-1)?.name ?? 'the board'}`)
    } else if (device !== undefined) {
      const [, name, value] = PROPERTY.exec(line) ?? []
      if (name !== undefined) items.push(`${device}: ${name} = ${value}`)
    }
  }
  return items.filter((item) => !isGuests(item))
}

/**
 * The number of the bus that a PCI device is on: firmware and guest give one to each bus below a bridge,
 * after the reading at the start. Former versions' readings have it.
 */
export const isGuests = (item: string): boolean => item.includes(': busnr = ')

/** Drops the buses that a line of this indent is not below. */
function unwind(buses: { indent: number }[], indent: number): void {
  while ((buses.at(-1)?.indent ?? -1) >= indent) buses.pop()
}
