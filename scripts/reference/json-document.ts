/** `docs/reference/json.md`: what each command prints with --json, from the schemas of `src/cli/json`. */
import { EntrySchema, ExtentSchema, TimestampSchema } from '../../src/cli/json/dump-output.ts'
import { FindingSchema } from '../../src/cli/json/finding-output.ts'
import { OUTPUTS } from '../../src/cli/json/outputs.ts'
import { BootFileSchema } from '../../src/cli/json/reserve-output.ts'
import { ReportSchema } from '../../src/liveupdate/report/update-report.ts'
import {
  type JsonSchema,
  jsonSchema,
  type SharedSchemas,
  shapeOf,
  type ValibotSchema,
} from './json-schema.ts'
import { MADE_BY } from './markdown.ts'

/** Wider than the page's text, so that most keys take one line. */
const WIDTH = 110

const SHARED = {
  report: ReportSchema,
  finding: FindingSchema,
  bootFile: BootFileSchema,
  imageEntry: EntrySchema,
  extent: ExtentSchema,
  timestamp: TimestampSchema,
} as const
const BY_SCHEMA: SharedSchemas = new Map(
  Object.entries(SHARED).map(([name, schema]) => [schema as ValibotSchema, name]),
)

const INTRODUCTION = [
  'Every command with `--json`, and `dump`, prints one object on one line of standard output. What is in it more than',
  'once is a list with a name. Remarks and errors go to standard error, as without it; a command that failed before it',
  'had a result prints no object, and the exit status tells.',
  '',
  '- Byte counts are numbers in keys that end in `Bytes`; `Blocks` are blocks of 2 MiB.',
  '- Lengths of time are microseconds, in keys that end in `Us`: a phase of a blackout may take less than 1 ms.',
  '- Points in time are milliseconds since 1970, in keys that end in `AtMs`.',
  '- A pool is its name, in `pool`; `mountPoint` is where it is mounted, null where it is not.',
  '- What is not there is null. Keys that are not in `required` are left out where there is nothing to say.',
  '- Later versions add keys: leave those alone that you do not know.',
]

export const jsonDocument = (): string =>
  `${[
    '# JSON',
    '',
    `${MADE_BY} from \`src/cli/json/\`: change that, not this page. The tests hold what each`,
    'command prints against these schemas (JSON Schema 2020-12), and there a key that is not in them is an error.',
    '',
    ...INTRODUCTION,
    ...Object.entries(OUTPUTS).flatMap(([command, schema]) => [
      '',
      `## guestmemfs ${command}`,
      '',
      ...block(jsonSchema(schema as ValibotSchema, BY_SCHEMA)),
    ]),
    '',
    '## Shared parts',
    '',
    ...block({
      $defs: Object.fromEntries(
        Object.entries(SHARED).map(([name, schema]) => [name, shapeOf(schema as ValibotSchema, BY_SCHEMA)]),
      ),
    }),
  ].join('\n')}\n`

const block = (schema: JsonSchema): string[] => ['```json', ...indented(schema, '').split('\n'), '```']

/** A value that fits takes one line, and of another one each part does, as biome formats JSON. */
function indented(value: unknown, indent: string, before = ''): string {
  const short = spaced(value)
  if (indent.length + before.length + short.length < WIDTH || typeof value !== 'object' || value === null)
    return short
  const inner = `${indent}  `
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  const lines = Array.isArray(value)
    ? value.map((each) => `${inner}${indented(each, inner)}`)
    : Object.entries(value).map(([key, each]) => {
        const name = `${JSON.stringify(key)}: `
        return `${inner}${name}${indented(each, inner, name)}`
      })
  return `${open}\n${lines.join(',\n')}\n${indent}${close}`
}

/** On one line, with a space after each comma and colon. */
function spaced(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`
  const entries = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${spaced(each)}`)
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`
}
