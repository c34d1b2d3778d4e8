/** The table of faults names tests and sources that are there. `npm run faults` runs them. */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { testsTitled } from '../../scripts/check/titles.ts'
import { revertIn } from './revert-in.ts'
import { ROWS } from './rows.ts'

const PROJECT = join(import.meta.dirname, '../..')
/** Kinds and numbers that the table must have. */
const WANTED = [
  ...['A1', 'A2', 'A3', 'A4', 'A5', 'A6', 'A7', 'A8', 'A9', 'A10', 'A11'],
  ...['B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B9'],
  ...['C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'C8'],
  ...['D1', 'D2', 'D3', 'D4', 'D5', 'D6', 'D7', 'D8'],
  ...['E1', 'E5', 'E8', 'F1'],
]

test('every fault has a row, and no row its name twice', () => {
  const ids = ROWS.map(({ id }) => id)
  assert.deepEqual(
    WANTED.filter((id) => !ids.includes(id)),
    [],
  )
  assert.equal(new Set(ids).size, ids.length)
})

test('kinds A and B have five faults more than those', () => {
  for (const kind of ['A', 'B']) {
    // Another test of a fault that has one is no other fault.
    const others = ROWS.filter(({ id }) => new RegExp(`^${kind}\\d+$`).test(id) && !WANTED.includes(id))
    assert.ok(others.length >= 5, `${kind}: ${others.map(({ id }) => id).join(' ')}`)
  }
})

/** What a test says that could not start, or ran out of time. */
const OTHER_FAILURES = [
  '',
  "error: 'test timed out after 120000ms'",
  "error: 'Command failed: guestmemfs mount'",
  'Expected values to be strictly equal:\n\n1 !== 0\n',
]

test('a row is content with its own failure alone', () => {
  for (const { id, says } of ROWS)
    for (const text of OTHER_FAILURES) assert.doesNotMatch(text, says, `${id}: ${text}`)
  assert.equal(new Set(ROWS.map(({ says }) => says.source)).size, ROWS.length)
})

for (const { id, file, title } of ROWS)
  test(`${id}: its test is there`, () => {
    const text = readFileSync(join(PROJECT, file), 'utf8')
    assert.ok(testsTitled(text, title) > 0, `${file} has no test '${title}'`)
  })

for (const { id, how } of ROWS)
  if (how !== 'old tree')
    test(`${id}: its mend can be taken back`, (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-revert-'))
      t.after(() => rmSync(folder, { recursive: true }))
      for (const path of new Set(how.map((revert) => revert.path))) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        cpSync(join(PROJECT, path), join(folder, path))
      }
      for (const revert of how) revertIn(folder, revert)
    })
