/** Tests of the page that the matrix writes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pageOf, type Seen } from './page.ts'
import { ROWS, rowsOf } from './rows.ts'

const seen = (row: string, more: Partial<Seen> = {}): Seen => ({
  row,
  kernels: ['6.12.1', '7.3.4'],
  qemus: ['10.0.13', '10.0.13'],
  blackoutMs: 1234,
  refusal: undefined,
  accelerator: 'tcg',
  on: '2026-11-28',
  ...more,
})

test('every row has a name of its own, and every pair that the table is for is there', () => {
  assert.equal(new Set(ROWS.map(({ name }) => name)).size, ROWS.length)
  for (const words of [
    ['dax', '7.3→6.12'],
    ['devmem', '6.12→7.3'],
    ['memfd', 'luo→luo'],
    ['10.0→11.1'],
    ['11.1→10.0'],
  ])
    assert.notEqual(rowsOf(words).length, 0, words.join())
  assert.deepEqual(rowsOf(['dax', 'nothing']), [])
})

test('a row that went on has its time, one that was refused its reason, one that was not run says so', () => {
  const rows = ROWS.slice(0, 4)
  const [first, second, third] = rows.map(({ name }) => name) as [string, string, string]
  const refusal = 'it cannot'
  const page = pageOf(rows, [
    seen(first),
    seen(second, { refusal }),
    seen(third, { refusal, accelerator: 'kvm' }),
  ])
  const lines = page.split('\n').filter((line) => line.startsWith('| dax'))
  assert.match(
    lines[0] ?? '',
    /6\.12\.1 → 7\.3\.4 +\| 10\.0\.13 +\| goes on, 1\.2 s +\| emulated +\| 2026-11-28/,
  )
  assert.match(lines[1] ?? '', /refused \(1\) +\| emulated/)
  assert.match(lines[2] ?? '', /refused \(1\) +\| KVM/)
  assert.match(lines[3] ?? '', /7\.3 → 6\.12 .* not run yet/)
  assert.match(page, /\nRefused:\n\n1\. it cannot\n$/)
  assert.equal(new Set(lines.map((line) => line.length)).size, 1, 'the columns do not line up')
})
