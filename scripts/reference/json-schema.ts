/**
 * A schema of valibot as JSON Schema (2020-12), as far as `src/cli/json` uses it. Keys that it does not have
 * are allowed: later versions add some. Pure.
 */
import * as v from 'valibot'

/** What the schemas here are made of. */
export interface ValibotSchema {
  readonly type: string
  readonly entries?: Readonly<Record<string, ValibotSchema>>
  readonly item?: ValibotSchema
  readonly wrapped?: ValibotSchema
  readonly options?: readonly (ValibotSchema | string)[]
  readonly value?: ValibotSchema
  readonly literal?: string
}

export type JsonSchema = { readonly [key: string]: unknown }

/** Schemas that are described once, by their name in `$defs`. */
export type SharedSchemas = ReadonlyMap<ValibotSchema, string>

/** Throws for a kind of schema that it does not know. */
export function jsonSchema(schema: ValibotSchema, shared: SharedSchemas): JsonSchema {
  const about = v.getDescription(schema as unknown as v.GenericSchema)
  const name = shared.get(schema)
  const shape = name === undefined ? shapeOf(schema, shared) : { $ref: `#/$defs/${name}` }
  return about === undefined ? shape : { ...shape, description: about }
}

/** Without what is said about it. */
export function shapeOf(schema: ValibotSchema, shared: SharedSchemas): JsonSchema {
  switch (schema.type) {
    case 'string':
    case 'number':
    case 'boolean':
      return { type: schema.type }
    case 'literal':
      return { const: schema.literal }
    case 'picklist':
      return { enum: schema.options }
    case 'array':
      return { type: 'array', items: jsonSchema(schema.item as ValibotSchema, shared) }
    case 'nullable':
      return orNull(jsonSchema(schema.wrapped as ValibotSchema, shared))
    case 'union':
      return { anyOf: (schema.options as readonly ValibotSchema[]).map((each) => jsonSchema(each, shared)) }
    case 'record':
      return { type: 'object', additionalProperties: jsonSchema(schema.value as ValibotSchema, shared) }
    case 'object':
      return objectShape(schema.entries ?? {}, shared)
    default:
      throw new Error(`say in scripts/reference/json-schema.ts what a schema of '${schema.type}' is`)
  }
}

function orNull(schema: JsonSchema): JsonSchema {
  if (typeof schema.type === 'string') return { ...schema, type: [schema.type, 'null'] }
  if (Array.isArray(schema.enum)) return { ...schema, enum: [...schema.enum, null] }
  return { anyOf: [schema, { type: 'null' }] }
}

const OPTIONAL = ['optional', 'exact_optional']

function objectShape(entries: Readonly<Record<string, ValibotSchema>>, shared: SharedSchemas): JsonSchema {
  const properties = Object.entries(entries).map(([key, schema]) => {
    const own = OPTIONAL.includes(schema.type) ? (schema.wrapped as ValibotSchema) : schema
    return [key, jsonSchema(own, shared)] as const
  })
  const required = Object.keys(entries).filter((key) => !OPTIONAL.includes(entries[key]?.type ?? ''))
  return { type: 'object', properties: Object.fromEntries(properties), required }
}
