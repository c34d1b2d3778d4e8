/** Tests of JSON Schema that is made of valibot's schemas. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { jsonSchema, type ValibotSchema } from './json-schema.ts'

const of = (schema: v.GenericSchema, shared: readonly (readonly [v.GenericSchema, string])[] = []) =>
  jsonSchema(schema as unknown as ValibotSchema, new Map(shared as unknown as [ValibotSchema, string][]))

test('each kind of schema', () => {
  assert.deepEqual(of(v.pipe(v.string(), v.description('One word.'))), {
    type: 'string',
    description: 'One word.',
  })
  assert.deepEqual(of(v.nullable(v.array(v.number()))), {
    type: ['array', 'null'],
    items: { type: 'number' },
  })
  assert.deepEqual(of(v.nullable(v.picklist(['a', 'b']))), { enum: ['a', 'b', null] })
  assert.deepEqual(of(v.union([v.literal('a'), v.boolean()])), {
    anyOf: [{ const: 'a' }, { type: 'boolean' }],
  })
  assert.deepEqual(of(v.record(v.string(), v.number())), {
    type: 'object',
    additionalProperties: { type: 'number' },
  })
  assert.throws(() => of(v.date()), /'date'/)
})

test('keys that may be left out are not required', () => {
  const schema = v.object({ a: v.string(), b: v.exactOptional(v.string()), c: v.optional(v.number()) })
  assert.deepEqual(of(schema), {
    type: 'object',
    properties: { a: { type: 'string' }, b: { type: 'string' }, c: { type: 'number' } },
    required: ['a'],
  })
})

test('a shared part is referred to', () => {
  const part = v.object({ a: v.string() })
  assert.deepEqual(of(v.array(part), [[part, 'part']]), { type: 'array', items: { $ref: '#/$defs/part' } })
  assert.deepEqual(of(v.nullable(part), [[part, 'part']]), {
    anyOf: [{ $ref: '#/$defs/part' }, { type: 'null' }],
  })
})
