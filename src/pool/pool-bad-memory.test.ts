import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MIB } from '../values/units.ts'
import {
  type BadMemoryRow,
  badBytesByFile,
  badBytesOf,
  badRowInWords,
  judgeBadMemory,
} from './pool-bad-memory.ts'

const ROWS: readonly BadMemoryRow[] = [
  {
    poolOffsetBytes: 0,
    lengthBytes: 2 * MIB,
    startByte: 2 ** 32,
    ino: 5,
    fileOffsetBytes: 6 * MIB,
    file: 'vms/ram',
  },
  { poolOffsetBytes: 4 * MIB, lengthBytes: 4 * MIB, startByte: 2 ** 32 + 4 * MIB },
  {
    poolOffsetBytes: 8 * MIB,
    lengthBytes: 2 * MIB,
    startByte: 2 ** 32 + 8 * MIB,
    ino: 5,
    fileOffsetBytes: 0,
    file: 'vms/ram',
  },
  { poolOffsetBytes: 12 * MIB, lengthBytes: 2 * MIB, ino: 7, fileOffsetBytes: 0 },
]

test('each row says where it is and whose', () => {
  assert.deepEqual(ROWS.map(badRowInWords), [
    '0x100000000+2M (vms/ram from 6M on)',
    '0x100400000+4M (not used)',
    '0x100800000+2M (vms/ram from 0B on)',
    'pool offset 12M+2M (a deleted file from 0B on)',
  ])
  assert.deepEqual([...badBytesByFile(ROWS)], [['vms/ram', 4 * MIB]])
})

test('the doctor names files on bad memory, once each, and what to do', () => {
  const inFiles = judgeBadMemory('here', 10 * MIB, ROWS)
  assert.deepEqual([inFiles.severity, inFiles.subject], ['warn', 'here'])
  assert.match(inFiles.message, /^10M of memory is bad, .*; parts of vms\/ram are on it$/)
  assert.match(inFiles.advice ?? '', /^delete these files/)
  for (const rows of [null, [ROWS[1] as BadMemoryRow]])
    assert.equal(
      judgeBadMemory('here', 4 * MIB, rows).message,
      '4M of memory is bad, and goes to no file any more',
    )
})

test('a pool that no server serves is not asked', () => {
  assert.equal(badBytesOf({ mountPoint: '/nowhere', freeBytes: null }), null)
  assert.equal(badBytesOf({ mountPoint: null, freeBytes: 0 }), null)
})
