/** Tests of the history of reports: its order, its bounds, and files in it that are no reports. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sampleReport } from './page/testing/sample-updates.ts'
import { historyBelow, keepInHistory, reportsIn } from './report-history.ts'

function historyFolder(t: TestContext): string {
  const scratch = mkdtempSync(join(tmpdir(), 'history-'))
  t.after(() => rmSync(scratch, { recursive: true }))
  return join(scratch, 'reports')
}

const unbounded = (folder: string) => ({ folder, mostReports: 1000, mostBytes: 1e9 })

/** Told apart by when they began; a later one may have begun before, by a clock that was set back. */
const startedAt = (startedAtMs: number) => sampleReport({ startedAtMs })
const startsIn = (folder: string): number[] => reportsIn(folder).map(({ startedAtMs }) => startedAtMs)

test('they lie on the disk where guestmemfs is installed, by its own command or as a package', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'history-'))
  t.after(() => rmSync(root, { recursive: true }))
  assert.match(historyBelow(root).folder, /^\/run\//)
  for (const path of ['var/lib/guestmemfs/installed.json', 'usr/lib/guestmemfs/package']) {
    mkdirSync(join(root, path), { recursive: true })
    assert.equal(historyBelow(root).folder, '/var/lib/guestmemfs/reports', path)
    rmSync(join(root, path), { recursive: true })
  }
})

test('reports are read in the order in which they were added, whatever the clock was', (t) => {
  const folder = historyFolder(t)
  assert.deepEqual(reportsIn(folder), [])
  for (const startedAtMs of [30, 10, 20])
    assert.equal(keepInHistory(startedAt(startedAtMs), unbounded(folder)), undefined)
  assert.deepEqual(startsIn(folder), [30, 10, 20])
  assert.deepEqual(reportsIn(folder)[0], startedAt(30))
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600)
})

test('the oldest are removed where there are too many, and the numbers go on', (t) => {
  const folder = historyFolder(t)
  const bounds = { mostReports: 3, mostBytes: 1e6 }
  for (let ms = 1; ms <= 12; ms++) keepInHistory(startedAt(ms), { folder, ...bounds })
  assert.deepEqual(startsIn(folder), [10, 11, 12])
  assert.deepEqual(
    readdirSync(folder).map((name) => Number(name.split('-')[0])),
    [10, 11, 12],
  )
})

test('the oldest are removed where they take too much, what a killed writer left among them', (t) => {
  const folder = historyFolder(t)
  const sizeBytes = JSON.stringify(startedAt(1)).length
  const bounds = { mostReports: 100, mostBytes: 2 * sizeBytes + 10 }
  keepInHistory(startedAt(1), { folder, ...bounds })
  writeFileSync(join(folder, '0000000002-77.json.new'), 'x'.repeat(sizeBytes))
  keepInHistory(startedAt(3), { folder, ...bounds })
  assert.deepEqual(
    readdirSync(folder).map((name) => name.replace(/-\d+/, '')),
    ['0000000002.json.new', '0000000003.json'],
  )
  keepInHistory(startedAt(4), { folder, ...bounds })
  assert.deepEqual(startsIn(folder), [3, 4])
  assert.equal(readdirSync(folder).length, 2)
})

test('one that is larger than all may be is not kept, and removes none', (t) => {
  const folder = historyFolder(t)
  const bounds = { mostReports: 100, mostBytes: JSON.stringify(startedAt(1)).length }
  keepInHistory(startedAt(1), { folder, ...bounds })
  const large = sampleReport({ mountPoint: `/${'x'.repeat(1000)}` })
  assert.match(
    keepInHistory(large, { folder, ...bounds }) ?? '',
    /^it takes [\d.]+K, and \S+ holds [\d.]+K?$/,
  )
  assert.deepEqual(startsIn(folder), [1])
})

test('files that are no reports are left out and left alone', (t) => {
  const folder = historyFolder(t)
  keepInHistory(startedAt(1), unbounded(folder))
  writeFileSync(join(folder, '0000000002-5.json'), '{"format":1')
  writeFileSync(join(folder, 'README'), 'not ours')
  keepInHistory(startedAt(3), { folder, mostReports: 1, mostBytes: 1e6 })
  assert.deepEqual(startsIn(folder), [3])
  assert.ok(readdirSync(folder).includes('README'))
})

test('a folder that cannot be made is one line', (t) => {
  const folder = historyFolder(t)
  writeFileSync(folder, '')
  assert.match(keepInHistory(startedAt(1), unbounded(folder)) ?? '', /^\S+ cannot be written \(E\w+\)$/)
})
