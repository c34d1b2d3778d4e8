/**
 * A strict reader of Prometheus' text format 0.0.4 (prometheus.io, "Exposition formats"). It throws at what a
 * Prometheus refuses, and at what it would accept and this program must not write: a family whose lines are
 * apart, one without HELP or TYPE before its samples, a time of a sample.
 */
import assert from 'node:assert/strict'

export interface ReadSeries {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const METRIC_NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const HELP = new RegExp(`^# HELP (${METRIC_NAME}) (\\S.*)$`)
const TYPE = new RegExp(`^# TYPE (${METRIC_NAME}) (counter|gauge)$`)
const SAMPLE = new RegExp(`^(${METRIC_NAME})(?:\\{(.*)\\})? (\\S+)$`)
/** One label, with the comma that ends it or at the end. */
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,(?=[a-zA-Z_])|$)/y
const VALUE = /^(?:NaN|[+-]Inf|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/
const ESCAPES: Readonly<Record<string, string>> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' }
/** Prometheus' base units are seconds and bytes. */
const OTHER_UNITS = /_(?:ms|us|milliseconds|microseconds|minutes|kb|kib|mb|mib|blocks|percent)(?:_|$)/

/** Every series of the text, in order. Throws AssertionError. */
export function readExposition(text: string): ReadSeries[] {
  assert.ok(text === '' || text.endsWith('\n'), 'the last line has no end')
  const seen = new Set<string>()
  const families = new Set<string>()
  const found: ReadSeries[] = []
  let helped: string | undefined
  let family: string | undefined
  for (const line of text.split('\n').slice(0, -1)) {
    const [, help] = HELP.exec(line) ?? []
    const [, typed, type] = TYPE.exec(line) ?? []
    if (help !== undefined) {
      assert.ok(!families.has(help), `a second HELP: ${line}`)
      assert.doesNotMatch(help, OTHER_UNITS)
      assert.doesNotMatch(line.slice(2).replaceAll(/\\[\\n]/g, ''), /\\/, 'an escape that is none')
      families.add(help)
      helped = help
      family = undefined
    } else if (typed !== undefined) {
      assert.equal(typed, helped, `TYPE without its HELP: ${line}`)
      assert.equal(typed.endsWith('_total'), type === 'counter', line)
      assert.equal(family, undefined, `a second TYPE: ${line}`)
      family = typed
    } else {
      const series = readSample(line)
      assert.equal(series.name, family, `a sample that is not below its TYPE: ${line}`)
      const key = JSON.stringify([series.name, Object.entries(series.labels).sort()])
      assert.ok(!seen.has(key), `a second time: ${line}`)
      seen.add(key)
      found.push(series)
    }
  }
  return found
}

function readSample(line: string): ReadSeries {
  const [, name = '', labels, value = ''] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`)
  assert.match(value, VALUE)
  return { name, labels: labels === undefined ? {} : readLabels(labels), value: numberOf(value) }
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  assert.notEqual(text, '', 'braces without labels')
  for (let at = 0; at < text.length; ) {
    LABEL.lastIndex = at
    const [all, name = '', value = ''] = LABEL.exec(text) ?? assert.fail(`no label: ${text.slice(at)}`)
    assert.ok(!name.startsWith('__'), `Prometheus' own: ${name}`)
    assert.ok(!Object.hasOwn(labels, name), `a label is there twice: ${text}`)
    labels[name] = value.replace(/\\./g, (pair) => ESCAPES[pair] ?? assert.fail(pair))
    at += all.length
  }
  return labels
}

function numberOf(value: string): number {
  if (value.endsWith('Inf'))
    return value.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  return Number(value)
}
