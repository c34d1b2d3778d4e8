/**
 * A device that somebody plugged, as its type's properties tell it: what `-device` must say for the same one.
 * QMP gives the values typed; `info qtree` prints them for people.
 */
import * as v from 'valibot'
import { QemuError } from '../../values/errors.ts'
import { type Ask, readChildren } from '../machine/ask.ts'

const PropertiesSchema = v.array(
  v.object({ name: v.string(), type: v.string(), 'default-value': v.optional(v.unknown()) }),
)

/** Of devices, and of properties of one: a QEMU that makes up more is not looked at further. */
const MOST = 500

export interface DeviceFacts {
  readonly id: string
  readonly driver: string
  /** Path of the bus it is on. */
  readonly bus: string
  /** Those that differ from what the type has by itself. */
  readonly properties: Readonly<Record<string, unknown>>
}

export const pathOf = (id: string): string => `/machine/peripheral/${id}`

/** Ids of the devices that have one, with the type of each. */
export async function readDevices(ask: Ask): Promise<Map<string, string>> {
  const devices = await readChildren(ask, '/machine/peripheral')
  if (devices.size > MOST) throw new QemuError(`QEMU tells of ${devices.size} devices`)
  return devices
}

/** Errors (QemuError): there is no such device, or QEMU does not answer. */
export async function readDevice(ask: Ask, id: string, driver: string): Promise<DeviceFacts> {
  const path = pathOf(id)
  const [bus, listed] = await Promise.all([
    ask(v.string(), 'qom-get', { path, property: 'parent_bus' }).catch(() => ''),
    ask(PropertiesSchema, 'device-list-properties', { typename: driver }),
  ])
  if (listed.length > MOST) throw new QemuError(`QEMU tells of ${listed.length} properties of ${driver}`)
  const told = await Promise.all(
    listed.map(async ({ name, type, 'default-value': usual }) => {
      // Some cannot be asked for: they are set and not kept.
      const value = await ask(v.unknown(), 'qom-get', { path, property: name }).catch(() => undefined)
      const said = type.startsWith('link<') ? linked(value) : value
      return isWord(type) && isSaid(said, usual) ? [[name, said] as const] : []
    }),
  )
  return { id, driver, bus, properties: Object.fromEntries(told.flat()) }
}

/** The rest is a part of the device, or follows from where it is. */
const isWord = (type: string): boolean => !type.startsWith('child<') && type !== 'busnr'

/** An object by its id. */
const linked = (path: unknown): unknown =>
  typeof path === 'string' && path.startsWith('/objects/') ? path.slice('/objects/'.length) : undefined

function isSaid(value: unknown, usual: unknown): boolean {
  if (value === undefined || value === null || value === '') return false
  if (typeof value === 'object') return Array.isArray(value) ? value.length > 0 : true
  // `bootindex`, and others of no default: what counts from 0.
  return usual === undefined ? value !== -1 : value !== usual
}

/** As `-device` and `device_add` take it. */
export const deviceWords = ({ id, driver, bus, properties }: DeviceFacts): Record<string, unknown> => ({
  driver,
  id,
  ...(bus === '' ? {} : { bus: bus.slice(bus.lastIndexOf('/') + 1) }),
  ...properties,
})
