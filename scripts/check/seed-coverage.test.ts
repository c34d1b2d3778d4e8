/**
 * Tests that docs/reference/seed-coverage.md has each line of the seed's list, and that what it names is
 * there.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { readSources } from './sources.ts'
import { readResults, shownProblem } from './specification.ts'

const PROJECT = dirname(dirname(import.meta.dirname))
const HERE = ['given', 'otherwise', 'not needed', 'in part', 'not yet', 'refused']

/** Overview and future work of the seed, in its words and order. */
const LINES = [
  'memory of guests that is persistent across kexec, for live update',
  'pausing running VMs, serialising state, kexec, rehydrating, resuming them',
  'secret hiding',
  'struct page overhead elimination',
  'huge page mappings',
  'NUMA awareness',
  'multi-mount point support',
  'actually creating PMD-level mappings in page tables',
  'guest_memfd style interface for confidential computing',
  'supporting PUD-level allocations and mappings',
  'MCE handling',
  'persisting IOMMU pgtables to allow DMA to guestmemfs during kexec',
]

/** What the seed says, what there is here, how, and what shows it. */
const rows = readFileSync(join(PROJECT, 'docs/reference/seed-coverage.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (?:-|the patches say)/.test(line))
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))

test('each line of the seed has one row, in its order', () => {
  const found = rows.map(([, says = '']) => LINES.findIndex((line) => says.startsWith(line)))
  assert.deepEqual(
    found.filter((line) => line >= 0),
    LINES.map((_, line) => line),
  )
})

test('each row says what there is here, and what it names to show it is there', () => {
  const shown = { sources: readSources(PROJECT), results: readResults(PROJECT) }
  const faults = rows.flatMap(([, says, here = '', , by = '']) => {
    const named = [...by.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
    return [
      ...(HERE.includes(here.replaceAll('*', '')) ? [] : [`${says}: '${here}'`]),
      ...(named.length > 0 || here === '**not yet**' ? [] : [`${says}: nothing shows it`]),
      ...named.flatMap((text) => shownProblem(text, shown) ?? []),
    ]
  })
  assert.deepEqual(faults, [])
})
