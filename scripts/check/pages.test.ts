/** Tests that pages which were written by hand agree with the sources and with the results that were kept. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { PHASES } from '../../src/liveupdate/report/timeline.ts'
import { poolMetrics } from '../../src/metrics/pool-metrics.ts'
import { updateMetrics } from '../../src/metrics/update-metrics.ts'
import { vmMetrics } from '../../src/metrics/vm-metrics.ts'

const PROJECT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8')

/** What README.md says: the figure, and the row of the bench that it is of. */
const FIGURES: readonly (readonly [figure: string, bench: string, row: string])[] = [
  ['33.8 ms', 'successor-first', 'next QEMU first'],
  ['82.0 ms', 'successor-first', 'old QEMU first'],
  ['1134 ms', 'successor-first', 'migrate file:'],
  ['183.2 ms', 'restart', 'longest wait, server killed'],
  ['18.50 s', 'by-hand', 'one guest: by live-update'],
  ['9.55 s', 'by-hand', 'one guest: by hand'],
  ['28.44 s', 'kexec', '1024 MiB, blackout'],
]

test('the figures of README.md are those that the benches kept', () => {
  const page = read('README.md')
  for (const [figure, bench, row] of FIGURES) {
    const { rows } = JSON.parse(read(`bench/results/${bench}.json`)) as {
      rows: { figure: string; value: string }[]
    }
    const kept = rows.find((each) => each.figure === row)?.value ?? ''
    assert.ok(kept.startsWith(figure), `${bench}: ${row} is ${kept}, and README.md says ${figure}`)
    assert.ok(page.includes(figure), `README.md does not say ${figure}: take it off the list here`)
  }
})

test('each message that the page of troubles explains is one of the program', () => {
  const [, ...tables] = read('docs/guide/troubleshooting.md').split(/^## (?:Mounting|Guests|Live update)$/m)
  const messages = tables.flatMap((table) =>
    [...(table.split(/^## /m)[0] ?? '').matchAll(/^\| `([^`]+)`/gm)].map(([, message = '']) => message),
  )
  assert.ok(messages.length > 20)
  // Messages are cut in pieces by their values, and in the sources by quotes as well.
  const sources = globSync('src/**/*.ts', { cwd: PROJECT, exclude: ['**/*.test.ts'] }).map(read)
  for (const message of messages)
    for (const part of message.split('…').map((piece) => piece.trim()))
      assert.ok(
        sources.some((source) => source.includes(part)),
        `no source has '${part}' of '${message}'`,
      )
})

test('the picture of the phases has each phase of an update of the kernel', () => {
  const picture = read('docs/pictures/phases.svg')
  for (const phase of PHASES) assert.equal(picture.includes(`>${phase}<`), phase !== 'quit', phase)
})

test('the page of figures for Prometheus has each series, in full or by its end', () => {
  const page = read('docs/reference/host.md')
  const ends = [...page.matchAll(/`…(_\w+)`/g)].map(([, end = '']) => end)
  const families = [...poolMetrics([]), ...vmMetrics([], []), ...updateMetrics([])]
  assert.ok(families.length > 20)
  for (const { name } of families)
    assert.ok(page.includes(`\`${name}\``) || ends.some((end) => name.endsWith(end)), name)
})
