import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSrat } from './srat.ts'
import { type SratOptions, sratTable } from './testing/srat-table.ts'

const G = 2 ** 30
const MEMORY = [
  { domain: 0, start: 0, lengthBytes: 2 * G },
  { domain: 1, start: 4 * G, lengthBytes: 4 * G },
]

test('nodes are counted as the kernel counts them: domains of processors first, in the order of the table', () => {
  const nodesOf = (...initiators: NonNullable<SratOptions['initiators']>) =>
    parseSrat(sratTable({ initiators, memory: MEMORY }))?.map(({ node, range }) => [node, range.start / G])
  assert.deepEqual(nodesOf(), [
    [0, 0],
    [1, 4],
  ])
  assert.deepEqual(nodesOf({ type: 0, domain: 1 }, { type: 0, domain: 0 }), [
    [1, 0],
    [0, 4],
  ])
  assert.deepEqual(nodesOf({ type: 2, domain: 7 }, { type: 5, domain: 1 }), [
    [2, 0],
    [1, 4],
  ])
  assert.deepEqual(nodesOf({ type: 0, domain: 7, isOff: true }), [
    [0, 0],
    [1, 4],
  ])
})

test('a domain has all its bytes, but one in a table of the first revision', () => {
  const initiators = [{ type: 0, domain: 0x01020301 }] as const
  const memory = [{ domain: 0x01020301, start: 4 * G, lengthBytes: G }, ...MEMORY]
  assert.deepEqual(
    parseSrat(sratTable({ initiators, memory }))?.map(({ node }) => node),
    [0, 1, 2],
  )
  assert.deepEqual(
    parseSrat(sratTable({ initiators, memory, revision: 1 }))?.map(({ node }) => node),
    [0, 1, 0],
  )
})

test('memory that is not enabled is left out; ranges are whole', () => {
  const memory = [...MEMORY, { domain: 5, start: 64 * G, lengthBytes: G, isOff: true }]
  assert.deepEqual(parseSrat(sratTable({ memory })), [
    { node: 0, range: { start: 0, lengthBytes: 2 * G } },
    { node: 1, range: { start: 4 * G, lengthBytes: 4 * G } },
  ])
})

test('a table that is cut off, or no SRAT, is not used', () => {
  const table = sratTable({ memory: MEMORY })
  assert.equal(parseSrat(table.subarray(0, table.length - 1)), undefined)
  assert.equal(parseSrat(table.subarray(0, 40)), undefined)
  assert.equal(parseSrat(Buffer.alloc(0)), undefined)
  const other = Buffer.from(table)
  other.write('SLIT', 0, 'latin1')
  assert.equal(parseSrat(other), undefined)
  const endless = Buffer.from(table)
  endless.writeUInt8(0, 49)
  assert.equal(parseSrat(endless), undefined)
})
