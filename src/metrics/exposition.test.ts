/** Tests of the text format, and of the strict reader that other tests read it with. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exposition, type MetricFamily } from './exposition.ts'
import { readExposition } from './testing/read-exposition.ts'

const family = (samples: MetricFamily['samples'], help = 'Help.'): MetricFamily => ({
  ...{ name: 'guestmemfs_size_bytes', type: 'gauge', help, samples },
})

test('the text is byte by byte as Prometheus documents it', () => {
  const text = exposition([
    family(
      [
        { labels: { pool: 'a', path: 'C:\\"x"\ny' }, value: 1.5 },
        { labels: {}, value: 1e21 },
      ],
      'A \\ and\nan end.',
    ),
    {
      name: 'guestmemfs_starts_total',
      type: 'counter',
      help: 'Starts.',
      samples: [{ labels: {}, value: 3 }],
    },
  ])
  assert.equal(
    text,
    `# HELP guestmemfs_size_bytes A \\\\ and\\nan end.
# TYPE guestmemfs_size_bytes gauge
guestmemfs_size_bytes{pool="a",path="C:\\\\\\"x\\"\\ny"} 1.5
guestmemfs_size_bytes 1e+21
# HELP guestmemfs_starts_total Starts.
# TYPE guestmemfs_starts_total counter
guestmemfs_starts_total 3
`,
  )
})

test('label values come back as they were, but for control characters and what is no text', () => {
  const values = ['', '\\n', '\\', '"', 'a"b\\c\nd', '{}=,', 'ü→', '\\"', '\n\n']
  const text = exposition([family(values.map((path) => ({ labels: { path }, value: 0 })))])
  assert.deepEqual(
    readExposition(text).map(({ labels }) => labels.path),
    values,
  )
  const odd = exposition([family([{ labels: { path: 'a\u001b[31m\r\ud800' }, value: 0 }])])
  assert.equal(readExposition(odd)[0]?.labels.path, 'a\\u001b[31m\\u000d\ufffd')
})

test('values that are no finite numbers', () => {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0.25, 1e-9, 2 ** 60]
  const text = exposition([family(values.map((value, at) => ({ labels: { at: String(at) }, value })))])
  assert.deepEqual(
    readExposition(text).map(({ value }) => value),
    values,
  )
})

test('a series that is there twice is written once, and a family without samples not at all', () => {
  const twice = [1, 2].map((value) => ({ labels: { pool: 'a' }, value }))
  assert.deepEqual(readExposition(exposition([family(twice)])), [
    { name: 'guestmemfs_size_bytes', labels: { pool: 'a' }, value: 1 },
  ])
  assert.equal(exposition([family([])]), '')
})

const HEAD = '# HELP a_bytes Help.\n# TYPE a_bytes gauge\n'
const WRONG: Readonly<Record<string, string>> = {
  'no end of line': `${HEAD}a_bytes 1`,
  'no HELP': '# TYPE a_bytes gauge\na_bytes 1\n',
  'no TYPE': '# HELP a_bytes Help.\na_bytes 1\n',
  'TYPE before HELP': '# TYPE a_bytes gauge\n# HELP a_bytes Help.\na_bytes 1\n',
  'a sample before its TYPE': '# HELP a_bytes Help.\na_bytes 1\n# TYPE a_bytes gauge\n',
  'a family in two places': `${HEAD}a_bytes 1\n${HEAD.replaceAll('a_', 'b_')}b_bytes 1\na_bytes{x="y"} 1\n`,
  'a second HELP': `${HEAD}a_bytes 1\n${HEAD}`,
  'a series twice': `${HEAD}a_bytes{x="1",y="2"} 1\na_bytes{y="2",x="1"} 1\n`,
  'a label twice': `${HEAD}a_bytes{x="1",x="2"} 1\n`,
  'a label of Prometheus': `${HEAD}a_bytes{__x="1"} 1\n`,
  'a quote that is not escaped': `${HEAD}a_bytes{x="a"b"} 1\n`,
  'an escape that is none': `${HEAD}a_bytes{x="\\u0001"} 1\n`,
  'a comma at the end': `${HEAD}a_bytes{x="1",} 1\n`,
  'empty braces': `${HEAD}a_bytes{} 1\n`,
  'no value': `${HEAD}a_bytes\n`,
  'a value that is none': `${HEAD}a_bytes Infinity\n`,
  'a time': `${HEAD}a_bytes 1 1234\n`,
  'a name with a dash': `${HEAD.replaceAll('a_', 'a-')}a-bytes 1\n`,
  'another unit': `${HEAD.replaceAll('a_bytes', 'a_ms')}a_ms 1\n`,
  'a counter without _total': '# HELP a Help.\n# TYPE a counter\na 1\n',
  'an empty line': `${HEAD}\na_bytes 1\n`,
}

for (const [what, text] of Object.entries(WRONG))
  test(`the reader refuses ${what}`, () => {
    assert.throws(() => readExposition(text), { name: 'AssertionError' })
  })

test('the reader accepts the same without the fault', () => {
  assert.equal(readExposition(`${HEAD}a_bytes{x="1",y="2"} 1\na_bytes 2\n`).length, 2)
})
