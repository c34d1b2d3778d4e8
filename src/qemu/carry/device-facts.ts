/**
 * A device that the operator plugged, by its type's properties: what `-device` must have for the same one.
 * Read over QMP, which has the values with their types; `info qtree` prints them as text.
 */
import * as v from 'valibot'
import { QemuError } from '../../values/errors.ts'
import { type Ask, readChildren, unlessRefused } from '../machine/ask.ts'

const PropertiesSchema = v.array(
  v.object({ name: v.string(), type: v.string(), 'default-value': v.optional(v.unknown()) }),
)

/** Devices, and properties of one device: a QEMU that reports more is refused. */
const MOST = 500

export interface DeviceFacts {
  readonly id: string
  readonly driver: string
  /** Path of the bus it is on. */
  readonly bus: string
  /** Those that differ from the type's defaults. */
  readonly properties: Readonly<Record<string, unknown>>
}

export const pathOfDevice = (id: string): string => `/machine/peripheral/${id}`

/** Ids of the devices that have one, with the type of each. Errors: QemuError. */
export async function readDevices(ask: Ask): Promise<Map<string, string>> {
  const devices = await readChildren(ask, '/machine/peripheral')
  if (devices.size > MOST) throw new QemuError(`QEMU reports ${devices.size} devices`)
  return devices
}

/** Errors (QemuError): there is no such device, or QEMU does not answer. */
export async function readDevice(ask: Ask, id: string, driver: string): Promise<DeviceFacts> {
  const path = pathOfDevice(id)
  const [bus, listed] = await Promise.all([
    unlessRefused(ask(v.string(), 'qom-get', { path, property: 'parent_bus' }), ''),
    ask(PropertiesSchema, 'device-list-properties', { typename: driver }),
  ])
  if (listed.length > MOST) throw new QemuError(`QEMU reports ${listed.length} properties of ${driver}`)
  const found = await Promise.all(
    listed.map(async ({ name, type, 'default-value': usual }) => {
      // QEMU refuses to read some: they can only be set.
      const value = await unlessRefused(ask(v.unknown(), 'qom-get', { path, property: name }), undefined)
      const own = type.startsWith('link<') ? linked(value) : value
      return isSettable(type) && differs(own, usual) && !isDerived(driver, name) ? [[name, own] as const] : []
    }),
  )
  return { id, driver, bus, properties: Object.fromEntries(found.flat()) }
}

/** Others are children of the device, or follow from its bus. */
const isSettable = (type: string): boolean => !type.startsWith('child<') && type !== 'busnr'

/** QEMU takes the size of a DIMM from its memory, and does not let it be set. */
const isDerived = (driver: string, name: string): boolean =>
  /^(pc-dimm|nvdimm)$/.test(driver) && name === 'size'

/** The id of the object that a link leads to. */
const linked = (path: unknown): unknown =>
  typeof path === 'string' && path.startsWith('/objects/') ? path.slice('/objects/'.length) : undefined

function differs(value: unknown, usual: unknown): boolean {
  if (value === undefined || value === null || value === '') return false
  if (typeof value === 'object') return Array.isArray(value) ? value.length > 0 : true
  // Properties without a default count from 0, as `bootindex` does: -1 means unset.
  return usual === undefined ? value !== -1 : value !== usual
}

/** As `-device` and `device_add` take it. */
export const deviceWords = ({ id, driver, bus, properties }: DeviceFacts): Record<string, unknown> => ({
  driver,
  id,
  ...(bus === '' ? {} : { bus: bus.slice(bus.lastIndexOf('/') + 1) }),
  ...properties,
})
