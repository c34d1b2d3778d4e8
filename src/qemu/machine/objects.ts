/**
 * Properties of QEMU's objects that a person can set while the machine runs (`qom-set`), by the type of each.
 */
import * as v from 'valibot'
import { type Ask, readChildren } from './ask.ts'

/** Values by property, by object id. */
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
]
/**
 * Types of which nothing else is compared here: it cannot be set, is a secret, or is RAM (`ram-blocks.ts`).
 */
const FIXED =
  /^(secret\w*|tls-creds-\w+|tls-cipher-suites|rng-\w+|thread-context|iothread|throttle-group|main-loop|memory-backend-\w+)$/
/** Of all types, no property that can be set. */
const ALWAYS = ['type']

const ListedSchema = v.array(v.object({ name: v.string(), type: v.string() }))

const setAgainOf = (type: string): readonly string[] =>
  SET_AGAIN.find(([known]) => known.test(type))?.[1] ?? []

/** `objects`: the type of each by its id. Errors: as of `Ask`. */
export async function readProperties(
  ask: Ask,
  objects: ReadonlyMap<string, string>,
  namesOf: (id: string, type: string) => readonly string[] | Promise<readonly string[]>,
): Promise<Properties> {
  const found = await Promise.all(
    [...objects].map(async ([id, type]) => {
      const values = await Promise.all(
        (await namesOf(id, type)).map(async (property) => {
          const question = { path: `/objects/${id}`, property }
          // A version of QEMU may not have it, or may not report it.
          const value = await ask(v.unknown(), 'qom-get', question).catch(() => undefined)
          return value === undefined ? [] : [[property, value] as const]
        }),
      )
      return [id, Object.fromEntries(values.flat())] as const
    }),
  )
  return Object.fromEntries(found.filter(([, values]) => Object.keys(values).length > 0))
}

/** Those that are set again. */
export const readSetAgain = (ask: Ask, objects: ReadonlyMap<string, string>): Promise<Properties> =>
  readProperties(ask, objects, (_, type) => setAgainOf(type))

/** One line for each other property that could be set: `ID: NAME = VALUE`. Errors: as of `Ask`. */
export async function readOthers(ask: Ask, objects: ReadonlyMap<string, string>): Promise<string[]> {
  const namesOf = async (id: string, type: string): Promise<readonly string[]> => {
    if (FIXED.test(type)) return []
    const known = [...ALWAYS, ...setAgainOf(type)]
    const listed = await ask(ListedSchema, 'qom-list', { path: `/objects/${id}` })
    return listed.flatMap(({ name, type: kind }) =>
      kind.startsWith('child<') || known.includes(name) ? [] : [name],
    )
  }
  const found = await readProperties(ask, objects, namesOf)
  return Object.entries(found).flatMap(([id, values]) =>
    Object.entries(values).map(([name, value]) => `${id}: ${name} = ${JSON.stringify(value)}`),
  )
}

/** `ID: N` for each device with an id that has a place in the boot order. Errors: as of `Ask`. */
export async function readBootOrder(ask: Ask): Promise<string[]> {
  const devices = await readChildren(ask, '/machine/peripheral')
  const found = await Promise.all(
    [...devices.keys()].map(async (id) => {
      const question = { path: `/machine/peripheral/${id}`, property: 'bootindex' }
      // Most types have none.
      const index = await ask(v.number(), 'qom-get', question).catch(() => -1)
      return index < 0 ? [] : [`${id}: ${index}`]
    }),
  )
  return found.flat()
}
