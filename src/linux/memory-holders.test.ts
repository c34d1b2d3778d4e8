import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findMemoryHolders } from './memory-holders.ts'

const MIB = 2 ** 20
const ONE = { start: 4096 * MIB, lengthBytes: 2 * MIB }
const TWO = { start: 4100 * MIB, lengthBytes: 2 * MIB }

type Mapping = readonly [permissions: string, offset: number, length: number, leadsTo?: string]

/**
 * Processes by pid, each with what it maps. Nodes of the machine stand for files: /dev/mem may not be there.
 */
function holders(processes: Readonly<Record<string, readonly Mapping[]>>): Record<string, number> {
  const proc = mkdtempSync(join(tmpdir(), 'guestmemfs-proc-'))
  writeFileSync(join(proc, 'stat'), 'processes 1\n')
  for (const [pid, mappings] of Object.entries(processes)) {
    mkdirSync(join(proc, pid, 'map_files'), { recursive: true })
    writeFileSync(join(proc, pid, 'status'), 'State:\tS (sleeping)\n')
    writeFileSync(join(proc, pid, 'comm'), 'qemu\n')
    const lines = mappings.map(([permissions, offset, length, leadsTo], index) => {
      const start = 0x7f0000000000 + index * 2 ** 32
      const range = `${start.toString(16)}-${(start + length).toString(16)}`
      if (leadsTo !== undefined) symlinkSync(leadsTo, join(proc, pid, 'map_files', range))
      return `${range} ${permissions} ${offset.toString(16).padStart(8, '0')} 00:05 3 /dev/mem`
    })
    writeFileSync(join(proc, pid, 'maps'), ['7f-80 rw-p 00000000 00:00 0 [heap]', ...lines, ''].join('\n'))
  }
  try {
    const found = findMemoryHolders([ONE, TWO], proc, undefined, 99)
    return Object.fromEntries([...found].map(([range, { pid }]) => [range === ONE ? 'one' : 'two', pid]))
  } finally {
    rmSync(proc, { recursive: true })
  }
}

const FILE = '/etc/passwd'

test('other files at the same offset, and memory beside the ranges, do not count as held', () => {
  assert.deepEqual(holders({}), {})
  assert.deepEqual(holders({ 5: [['rw-s', ONE.start, 2 * MIB, FILE]] }), {})
  const beside: Mapping[] = [
    ['rw-s', ONE.start - MIB, MIB],
    ['rw-s', ONE.start + 2 * MIB, MIB],
  ]
  assert.deepEqual(holders({ 5: beside }), {}, 'these are not even looked at')
})

test('a mapping that goes while it is looked at, time after time, counts as a holder', () => {
  assert.deepEqual(holders({ 5: [['rw-s', ONE.start + MIB, 4 * MIB]] }), { one: 5, two: 5 })
  assert.deepEqual(holders({ 99: [['rw-s', ONE.start, MIB]] }), {}, 'we know what we map ourselves')
})
