/** Tests of reports that are cut off or in another format: they are left out, and no other one is. */
import assert from 'node:assert/strict'
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { REPORTS } from '../../run/paths.ts'
import { keepReport, lastReport, parseReport, reportTable, type UpdateReport } from './update-report.ts'

const REPORT: UpdateReport = {
  format: 1,
  kind: 'vmm-only',
  mountPoint: '/mnt',
  startedAtMs: 1,
  durationUs: 2,
  vms: [
    {
      name: 'web',
      ramBytes: 2 ** 20,
      outcome: 'updated',
      problem: null,
      qemuBefore: '10.0.2',
      qemuAfter: null,
      stateBytes: 3,
      phases: [{ phase: 'save', startUs: 0, durationUs: 5 }],
      blackoutUs: 5,
    },
  ],
}

test('a report is read as it was written', () => {
  const read = parseReport(JSON.stringify(REPORT))
  assert.deepEqual(read, REPORT)
  assert.equal(reportTable(REPORT).rows.length, 1)
})

test('bytes that are no report are read as none', () => {
  const text = JSON.stringify(REPORT)
  for (const none of [
    '',
    text.slice(0, -1),
    'null',
    '{}',
    text.replace('"save"', '"another"'),
    text.replace('[{', '[null,{'),
  ])
    assert.equal(parseReport(none), undefined, none)
})

test('a kept report is for root alone, whose lines name files of closed directories', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, (t) => {
  const mountPoint = `/mnt-${process.pid}`
  const path = join(REPORTS, `${encodeURIComponent(mountPoint)}.json`)
  t.after(() => {
    process.seteuid?.(0)
    rmSync(path)
  })
  const report = { ...REPORT, mountPoint }
  keepReport(report)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(lastReport(mountPoint), report)
  process.seteuid?.(61_234)
  assert.throws(() => lastReport(mountPoint), /reports of live updates are for root: run it with sudo/)
})
