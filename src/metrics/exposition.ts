/**
 * Prometheus' text format, version 0.0.4: figures with names, labels and a line each. Pure. Must not: decide
 * what is measured.
 */

export interface MetricSample {
  /** Names of labels are of the characters a-z and _; values may be anything. */
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** All samples of one name. */
export interface MetricFamily {
  /** With its unit at the end; that of a counter ends in `_total`. */
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  readonly samples: readonly MetricSample[]
}

/**
 * Families without samples are left out, and of samples of one family with the same labels all but the first:
 * a reader of the format refuses all of a text where a series is there twice.
 */
export const exposition = (families: readonly MetricFamily[]): string =>
  families
    .filter(({ samples }) => samples.length > 0)
    .map(familyText)
    .join('')

function familyText({ name, type, help, samples }: MetricFamily): string {
  const lines = samples.map(({ labels, value }) => [name + labelsText(labels), valueText(value)] as const)
  const first = new Map<string, string>()
  for (const [series, value] of lines) if (!first.has(series)) first.set(series, value)
  return [
    `# HELP ${name} ${escapeHelp(help)}`,
    `# TYPE ${name} ${type}`,
    ...[...first].map(([series, value]) => `${series} ${value}`),
    '',
  ].join('\n')
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

/** Other control characters than ends of lines are spelled as JSON does: the text may go to a terminal. */
const escapeLabel = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[\p{Cc}--\n]/gv, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')

function valueText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? '+Inf' : '-Inf'
}
