/**
 * What a command has printed with --json, held against its schema: an object on one line that has all of the
 * schema's keys and no other one. Tests and scenarios read what commands print through this.
 */
import * as v from 'valibot'
import type { ValibotSchema } from '../scripts/reference/json-schema.ts'
import { OUTPUTS, type Outputs } from '../src/cli/json/outputs.ts'

/** The value that `text` is. Throws where `command` prints no JSON, or another one. */
export function readPrinted<Command extends keyof Outputs>(command: Command, text: string): Outputs[Command] {
  const schema = OUTPUTS[command] as v.GenericSchema | undefined
  if (schema === undefined) throw new Error(`src/cli/json/outputs.ts has no schema of '${command}'`)
  if (!/^\{.*\}\n?$/.test(text)) throw new Error(`'${command}' printed no object on one line: ${text}`)
  const { success, issues } = v.safeParse(strict(schema), JSON.parse(text))
  if (success) return JSON.parse(text) as Outputs[Command]
  const what = issues.map((issue) => `${v.getDotPath(issue) ?? '.'}: ${issue.message}`)
  throw new Error(`'${command}' printed what its schema has not: ${what.join('; ')}\n${text}`)
}

/** The schema, but for keys that it does not have: they are errors. */
export const strict = (schema: v.GenericSchema): v.GenericSchema =>
  strictly(schema as unknown as ValibotSchema)

function strictly(schema: ValibotSchema): v.GenericSchema {
  const [item, wrapped, value] = [schema.item, schema.wrapped, schema.value] as ValibotSchema[]
  switch (schema.type) {
    case 'object':
      return v.strictObject(
        Object.fromEntries(
          Object.entries(schema.entries ?? {}).map(([key, inner]) => [key, strictly(inner)]),
        ),
      )
    case 'array':
      return v.array(strictly(item as ValibotSchema))
    case 'nullable':
      return v.nullable(strictly(wrapped as ValibotSchema))
    case 'exact_optional':
      return v.exactOptional(strictly(wrapped as ValibotSchema)) as unknown as v.GenericSchema
    case 'optional':
      return v.optional(strictly(wrapped as ValibotSchema))
    case 'union':
      return v.union((schema.options as readonly ValibotSchema[]).map(strictly))
    case 'record':
      return v.record(v.string(), strictly(value as ValibotSchema))
    default:
      return schema as unknown as v.GenericSchema
  }
}
