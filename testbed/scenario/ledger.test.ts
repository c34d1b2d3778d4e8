/** Tests of the ledger: what it keeps, and when the emulator fails too often. */
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

const home = mkdtempSync(join(tmpdir(), 'ledger-'))
process.env.XDG_CACHE_HOME = home
const { isTooOften, LEDGER_RUNS, ledgerLine, noteRun, readLedger } = await import('./ledger.ts')
after(() => rmSync(home, { recursive: true }))

const entry = (verdict: 'passed' | 'failed' | 'emulator') => ({
  at: '2026-11-28',
  scenario: 'kexec',
  verdict,
})
const entries = (passed: number, emulator: number) => [
  ...Array.from({ length: passed }, () => entry('passed')),
  ...Array.from({ length: emulator }, () => entry('emulator')),
]

test('one in twenty is the most, and a single one is never too many', () => {
  assert.equal(isTooOften([]), false)
  assert.equal(isTooOften(entries(0, 1)), false)
  assert.equal(isTooOften(entries(3, 2)), true)
  assert.equal(isTooOften(entries(38, 2)), false)
  assert.equal(isTooOften(entries(37, 2)), true)
  assert.equal(isTooOften(entries(95, 5)), false)
  assert.equal(isTooOften(entries(94, 6)), true)
  assert.equal(isTooOften(Array.from({ length: 50 }, () => entry('failed'))), false)
})

test('the last hundred runs are kept, and a line that was cut off is passed over', () => {
  for (let run = 0; run < 1010; run++) noteRun({ ...entry('passed'), scenario: `run ${run}` })
  const file = join(home, 'guestmemfs', 'testbed', 'ledger.jsonl')
  assert.ok(readFileSync(file, 'utf8').split('\n').length < 1000, 'the file grows without end')
  appendFileSync(file, '{"at":"2026-')
  const kept = readLedger()
  assert.equal(kept.length, LEDGER_RUNS)
  assert.equal(kept.at(-1)?.scenario, 'run 1009')
  assert.equal(ledgerLine(kept), '0 of the last 100 runs on this machine failed by the emulator')
})
