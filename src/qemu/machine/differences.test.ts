/** Tests of the differences between two readings, and that docs/reference/machine.md has the whole table. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ANSWERS, differences } from './differences.ts'
import { FAMILIES, type Family, type Reading } from './reading.ts'

const reading = (items: Partial<Record<Family, string[]>>): Reading => ({
  ram: [],
  settings: { forwards: [], limits: [] },
  items: {
    ...(Object.fromEntries(FAMILIES.map((family) => [family, []])) as unknown as Record<Family, string[]>),
    ...items,
  },
})

test('the same machine has no difference, in whatever order QEMU lists it', () => {
  const devices = ['a "1": on pci.0', 'a "2": on pci.0']
  assert.deepEqual(differences(reading({ devices }), reading({ devices: devices.toReversed() })), [])
})

test('added, removed and changed, each in one line', () => {
  const start = reading({ networks: ['n0: user', 'n1: user'], media: ['cd0: empty'] })
  const now = reading({ networks: ['n0: user', 'n2: tap,ifname=tap0'], media: ['cd0: iso0'] })
  const lines = differences(start, now)
  assert.equal(lines.length, 2)
  assert.match(lines[0] ?? '', /^medium cd0 was changed while it ran \(empty, now iso0\): put back/)
  assert.match(
    lines[1] ?? '',
    /^network backend n2 was added while it ran \(tap,ifname=tap0\); n1 was removed while it ran \(user\): /,
  )
})

test('a second item of the same words is one more', () => {
  const start = reading({ devices: ['a number 1: on pci.0'] })
  const now = reading({ devices: ['a number 1: on pci.0', 'a number 1: on pci.0'] })
  assert.equal(differences(start, now).length, 1)
})

test('a job counts although it ran already when the machine was read', () => {
  const jobs = ['job0: backup, running']
  assert.match(differences(reading({ jobs }), reading({ jobs }))[0] ?? '', /^job job0 was added/)
})

test('three of many are listed, and how many there are', () => {
  const devices = ['1', '2', '3', '4', '5'].map((id) => `a "${id}": on pci.0`)
  assert.match(differences(reading({}), reading({ devices }))[0] ?? '', /"3" was added .* and 2 more: /)
})

test('every family has its answer', () => {
  assert.deepEqual(ANSWERS.flatMap(({ family }) => family ?? []).toSorted(), [...FAMILIES].toSorted())
})

test('docs/reference/machine.md has the table', () => {
  const page = readFileSync(new URL('../../../docs/reference/machine.md', import.meta.url), 'utf8')
  const rows = ANSWERS.map(
    ({ what, by, carried = '–', refused = '–' }) => `| ${what} | ${by} | ${carried} | ${refused} |`,
  )
  const table = page.split('\n').map((line) => line.replace(/ +\|/g, ' |'))
  for (const row of rows) assert.ok(table.includes(row), `the page lacks: ${row}`)
})
