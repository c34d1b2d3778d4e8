/** Tests of the one shape of JSON: which commands have a schema, and how their keys are named. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonSchema, type ValibotSchema } from '../../../scripts/reference/json-schema.ts'
import { loadModules, makeProgram } from '../program.ts'
import { OUTPUTS } from './outputs.ts'

/** Its keys are those of docs/internals/image-format.md. */
const OF_THE_IMAGE = 'dump'

interface Key {
  readonly command: string
  readonly key: string
  readonly types: readonly unknown[]
}

function keysOf(command: string, schema: unknown): Key[] {
  if (typeof schema !== 'object' || schema === null) return []
  const { properties = {} } = schema as { properties?: Record<string, { type?: unknown }> }
  return [
    ...Object.entries(properties).map(([key, { type }]) => ({ command, key, types: [type].flat() })),
    ...Object.values(schema).flatMap((part) => keysOf(command, part)),
  ]
}

const SCHEMAS = Object.entries(OUTPUTS).map(
  ([command, schema]) => [command, jsonSchema(schema as ValibotSchema, new Map())] as const,
)
const KEYS = SCHEMAS.flatMap(([command, schema]) => keysOf(command, schema))

test('each command that prints JSON has a schema, and no other one', async () => {
  const program = makeProgram(await loadModules('help'), {}, () => {})
  const commands = program.createHelp().visibleCommands(program)
  const json = commands.filter(({ options }) => options.some(({ long }) => long === '--json'))
  assert.ok(json.length > 14)
  assert.deepEqual([...json.map((command) => command.name()), 'dump'], Object.keys(OUTPUTS))
  const texts = json.map(({ options }) => options.find(({ long }) => long === '--json')?.description)
  assert.deepEqual([...new Set(texts)], ['print JSON'])
})

test('what a command prints is an object, and a list in it has a name', () => {
  for (const [command, schema] of SCHEMAS) {
    assert.equal(schema.type, 'object', command)
    const lists = JSON.stringify(schema).match(/"items":\{"type":"array"/)
    assert.equal(lists, null, `${command} has a list in a list`)
  }
})

test('a number of bytes, a length of time and a point in time say so at the end of their key', () => {
  const numbers = KEYS.filter(({ command, types }) => command !== OF_THE_IMAGE && types.includes('number'))
  assert.ok(numbers.length > 60)
  for (const { command, key } of numbers) {
    const where = `${command}: ${key}`
    assert.doesNotMatch(key, /(?:size|length|offset|memory|ram|free)$/i, `${where}: bytes end in Bytes`)
    assert.doesNotMatch(
      key,
      /(?:seconds?|duration|time|timeout|blackout|since)$/i,
      `${where}: times end in Us`,
    )
    if (key.endsWith('Ms')) assert.match(key, /AtMs$/, `${where}: milliseconds are points in time`)
  }
})

test('what ends in Bytes, Us or Ms is a number', () => {
  const named = KEYS.filter(({ key }) => /(?:Bytes|Us|Ms)$/.test(key) && key !== 'nodeBytes')
  assert.ok(named.length > 30)
  for (const { command, key, types } of named) assert.ok(types.includes('number'), `${command}: ${key}`)
})

test('a pool is named by `pool`, and mounted on `mountPoint`', () => {
  for (const { command, key, types } of KEYS)
    if (command !== OF_THE_IMAGE && /^(?:pool|mount)/i.test(key) && types.includes('string'))
      assert.ok(['pool', 'mountPoint', 'mount'].includes(key), `${command}: ${key}`)
})
