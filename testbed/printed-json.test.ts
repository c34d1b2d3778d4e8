/** Tests that what a command prints is refused where its schema is another. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import type { ValibotSchema } from '../scripts/reference/json-schema.ts'
import { OUTPUTS } from '../src/cli/json/outputs.ts'
import { readPrinted, strict } from './printed-json.ts'

const FINDING = { severity: 'ok', subject: 'a', message: 'b', advice: null }
const print = (value: unknown): string => `${JSON.stringify(value)}\n`

test('what the schema has is read', () => {
  const printed = { ready: true, findings: [FINDING] }
  assert.deepEqual(readPrinted('doctor', print(printed)), printed)
})

test('a key too many, a key too few, another type, a list, several lines and no JSON are refused', () => {
  const { advice, ...withoutAdvice } = FINDING
  for (const [text, why] of [
    [print({ ready: true, findings: [], more: 1 }), /more/],
    [print({ ready: true, findings: [{ ...FINDING, name: 'x' }] }), /findings\.0\.name/],
    [print({ ready: true, findings: [withoutAdvice] }), /findings\.0\.advice/],
    [print({ ready: 'yes', findings: [] }), /ready/],
    [print([{ ready: true, findings: [] }]), /no object on one line/],
    [print({ ready: true, findings: [] }).repeat(2), /no object on one line/],
    ['', /no object on one line/],
  ] as const)
    assert.throws(() => readPrinted('doctor', text), why, text)
})

/** Every value that the schema describes, each with one more key in one of its objects. */
function* withMore(part: ValibotSchema): Generator<unknown> {
  if (part.type === 'object') {
    const whole = sample(part) as object
    yield { ...whole, more: 1 }
    for (const [key, inner] of Object.entries(part.entries ?? {}))
      for (const value of withMore(inner)) yield { ...whole, [key]: value }
  } else if (part.type === 'array') for (const value of withMore(part.item as ValibotSchema)) yield [value]
  else if (part.type === 'record')
    for (const value of withMore(part.value as ValibotSchema)) yield { key: value }
  else if (part.type === 'union')
    for (const each of part.options ?? []) yield* withMore(each as ValibotSchema)
  else if (part.wrapped !== undefined) yield* withMore(part.wrapped)
}

function sample(part: ValibotSchema): unknown {
  if (part.type === 'object')
    return Object.fromEntries(Object.entries(part.entries ?? {}).map(([key, inner]) => [key, sample(inner)]))
  if (part.type === 'array') return [sample(part.item as ValibotSchema)]
  if (part.type === 'record') return { key: sample(part.value as ValibotSchema) }
  if (part.type === 'union') return sample(part.options?.[0] as ValibotSchema)
  if (part.type === 'picklist') return part.options?.[0]
  if (part.wrapped !== undefined) return sample(part.wrapped)
  return part.type === 'literal' ? part.literal : { string: 'a', number: 1, boolean: true }[part.type]
}

test('no object of any schema takes a key that it does not have', () => {
  let refused = 0
  for (const [command, schema] of Object.entries(OUTPUTS)) {
    const [held, part] = [strict(schema), schema as ValibotSchema]
    assert.ok(v.is(held, sample(part)), command)
    for (const value of withMore(part)) {
      assert.ok(!v.is(held, value), `${command}: ${JSON.stringify(value)}`)
      refused += 1
    }
  }
  assert.ok(refused > 60, String(refused))
})
