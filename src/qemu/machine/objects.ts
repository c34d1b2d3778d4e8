/**
 * Properties of QEMU's objects that the operator can set while the machine runs (`qom-set`), by the type of
 * each.
 */
import { basename } from 'node:path'
import * as v from 'valibot'
import { type Ask, listProperties, readChildren, unlessRefused } from './ask.ts'

/** Values by property, by the id of an object, or by the path of a device. */
export const PropertiesSchema = v.record(v.string(), v.record(v.string(), v.unknown()))
export type Properties = v.InferOutput<typeof PropertiesSchema>

/** What is set again in the next QEMU. */
const SET_AGAIN: readonly (readonly [type: RegExp, properties: readonly string[]])[] = [
  [/^throttle-group$/, ['limits']],
  [
    /^iothread$/,
    ['poll-max-ns', 'poll-grow', 'poll-shrink', 'aio-max-batch', 'thread-pool-max', 'thread-pool-min'],
  ],
  [/^memory-backend-/, ['merge', 'dump']],
  [/^filter-/, ['status']],
  [/^main-loop$/, ['aio-max-batch', 'thread-pool-max', 'thread-pool-min']],
  [/^thread-context$/, ['cpu-affinity']],
]
/**
 * Types of which nothing else is compared here: it cannot be set, is a secret, or is RAM (`ram-blocks.ts`).
 */
const FIXED =
  /^(secret\w*|tls-creds-\w+|tls-cipher-suites|rng-\w+|thread-context|iothread|throttle-group|main-loop|memory-backend-\w+)$/
/** Of all types, no property that can be set. */
const ALWAYS = ['type']

const setAgainOf = (type: string): readonly string[] =>
  SET_AGAIN.find(([known]) => known.test(type))?.[1] ?? []

/** `objects`: the type of each by its id, or by its path. Errors: as of `Ask`. */
async function readProperties(
  ask: Ask,
  objects: ReadonlyMap<string, string>,
  namesOf: (id: string, type: string) => readonly string[] | Promise<readonly string[]>,
): Promise<Properties> {
  const found = await Promise.all(
    [...objects].map(async ([id, type]) => {
      const values = await Promise.all(
        (await namesOf(id, type)).map(async (property) => {
          const question = { path: pathOfObject(id), property }
          // A version of QEMU may not have it, or may not report it.
          const value = await unlessRefused(ask(v.unknown(), 'qom-get', question), undefined)
          return value === undefined ? [] : [[property, value] as const]
        }),
      )
      return [id, Object.fromEntries(values.flat())] as const
    }),
  )
  return Object.fromEntries(found.filter(([, values]) => Object.keys(values).length > 0))
}

/** The key of its properties: an object's id, or a path. */
export const pathOfObject = (key: string): string => (key.startsWith('/') ? key : `/objects/${key}`)

/** Those that are set again. */
export const readSetAgain = (ask: Ask, objects: ReadonlyMap<string, string>): Promise<Properties> =>
  readProperties(ask, objects, (_, type) => setAgainOf(type))

/** One line for each other property that could be set: `ID: NAME = VALUE`. Errors: as of `Ask`. */
export async function readOthers(ask: Ask, objects: ReadonlyMap<string, string>): Promise<string[]> {
  const namesOf = async (id: string, type: string): Promise<readonly string[]> => {
    if (FIXED.test(type)) return []
    const known = [...ALWAYS, ...setAgainOf(type)]
    const listed = await listProperties(ask, pathOfObject(id))
    return listed.flatMap(({ name, type: kind }) =>
      kind.startsWith('child<') || known.includes(name) ? [] : [name],
    )
  }
  const found = await readProperties(ask, objects, namesOf)
  return Object.entries(found).flatMap(([id, values]) =>
    Object.entries(values).map(([name, value]) => `${id}: ${name} = ${JSON.stringify(value)}`),
  )
}

const WITH_ID = '/machine/peripheral'
/** QEMU numbers the devices without an id in the order of the line: `device[N]`. */
const PLACES = [WITH_ID, '/machine/peripheral-anon']

/** The type of each device of the line, and of each that was plugged, by its path. Errors: as of `Ask`. */
export async function readDevicePaths(ask: Ask): Promise<Map<string, string>> {
  const listed = await Promise.all(
    PLACES.map(async (place) =>
      [...(await readChildren(ask, place))].map(([name, type]) => [`${place}/${name}`, type] as const),
    ),
  )
  return new Map(listed.flat())
}

/** Can be set in a device that runs, and are neither in the stream nor in `info qtree`. */
const OF_DEVICES: readonly (readonly [type: RegExp, properties: readonly string[]])[] = [
  [/^virtio-balloon/, ['guest-stats-polling-interval']],
]

/** Those that are set again. `devices`: as of `readDevicePaths`. Errors: as of `Ask`. */
export const readOfDevices = (ask: Ask, devices: ReadonlyMap<string, string>): Promise<Properties> =>
  readProperties(ask, devices, (_, type) => OF_DEVICES.find(([known]) => known.test(type))?.[1] ?? [])

export interface BootOrder {
  /** `ID: N` for each device that has a place in the boot order. */
  readonly withId: readonly string[]
  /** `device[N]: N`. */
  readonly withoutId: readonly string[]
}

/** Errors: as of `Ask`. */
export async function readBootOrder(ask: Ask, devices: ReadonlyMap<string, string>): Promise<BootOrder> {
  const found = await Promise.all(
    [...devices.keys()].map(async (path) => {
      // Most types have none.
      const index = await unlessRefused(ask(v.number(), 'qom-get', { path, property: 'bootindex' }), -1)
      return index < 0 ? [] : [[path.startsWith(`${WITH_ID}/`), `${basename(path)}: ${index}`] as const]
    }),
  )
  const [withId, withoutId] = [true, false].map((hasId) =>
    found.flat().flatMap(([has, item]) => (has === hasId ? [item] : [])),
  ) as [string[], string[]]
  return { withId, withoutId }
}
