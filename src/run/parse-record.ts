/** Records as text: JSON of a shape that this version reads, or none. */
import * as v from 'valibot'

/** undefined: `text` is no record of this version's kind. */
export function parseRecord<T>(schema: v.GenericSchema<unknown, T>, text: string): T | undefined {
  try {
    const parsed = v.safeParse(schema, JSON.parse(text))
    return parsed.success ? parsed.output : undefined
  } catch {
    return undefined
  }
}
