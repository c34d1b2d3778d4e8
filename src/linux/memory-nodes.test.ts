import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { joinNodes, nodeIdsOf, nodeParts, readMemoryNodes } from './memory-nodes.ts'
import { sratTable } from './testing/srat-table.ts'

const G = 2 ** 30
const M = 2 ** 20
const range = (start: number, end: number) => ({ start, lengthBytes: end - start })
const of = (node: number, start: number, end: number) => ({ node, range: range(start, end) })

/** Two nodes; in each a GiB is set aside, which sysfs does not list. */
const BLOCKS = [
  { id: 0, blocks: [range(0, G), range(G, 2 * G)] },
  { id: 1, blocks: [range(6 * G, 7 * G)] },
]
const SRAT = [of(0, 0, 640 * 1024), of(0, M, 2 * G), of(0, 4 * G, 5 * G), of(1, 5 * G, 7 * G)]

test('the firmware’s table has memory that is set aside, too', () => {
  assert.deepEqual(joinNodes(BLOCKS, SRAT, []), [
    { id: 0, ranges: [range(0, 2 * G), range(4 * G, 5 * G)] },
    { id: 1, ranges: [range(5 * G, 7 * G)] },
  ])
})

test('without a table the node of a carve-out is what device-dax says', () => {
  assert.deepEqual(joinNodes(BLOCKS, [], [of(1, 5 * G, 6 * G)]), [
    { id: 0, ranges: [range(0, 2 * G)] },
    { id: 1, ranges: [range(5 * G, 7 * G)] },
  ])
})

test('where the kernel has other nodes than the firmware describes, the kernel is right', () => {
  const one = [{ id: 0, blocks: [...(BLOCKS[0]?.blocks ?? []), ...(BLOCKS[1]?.blocks ?? [])] }]
  assert.deepEqual(joinNodes(one, SRAT, [of(0, 5 * G, 6 * G)]), [
    { id: 0, ranges: [range(0, 2 * G), range(5 * G, 7 * G)] },
  ])
})

test('memory that was plugged is in no table', () => {
  const plugged = [...BLOCKS, { id: 2, blocks: [] }]
  const nodes = joinNodes(plugged, [...SRAT, of(2, 8 * G, 9 * G)], [of(2, 16 * G, 17 * G)])
  assert.deepEqual(nodes[2], { id: 2, ranges: [range(8 * G, 9 * G), range(16 * G, 17 * G)] })
})

test('a kernel that shows no blocks has the nodes of the table, unless it has fewer', () => {
  const bare = BLOCKS.map(({ id }) => ({ id, blocks: [] }))
  assert.deepEqual(nodeIdsOf(joinNodes(bare, SRAT, []), range(4 * G, 6 * G)), [0, 1])
  assert.deepEqual(nodeIdsOf(joinNodes(bare.slice(0, 1), SRAT, []), range(4 * G, 6 * G)), [])
})

test('the parts of a range by node, ascending', () => {
  const nodes = joinNodes(BLOCKS, SRAT, [])
  assert.deepEqual(nodeParts(nodes, range(4.5 * G, 5.5 * G)), [of(0, 4.5 * G, 5 * G), of(1, 5 * G, 5.5 * G)])
  assert.deepEqual(nodeParts(nodes, range(2 * G, 4 * G)), [])
})

function machine(t: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const root = mkdtempSync(join(tmpdir(), 'nodes-'))
  t.after(() => rmSync(root, { recursive: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

test('a machine as sysfs shows it, with a table and without', (t) => {
  const shown = {
    'devices/system/memory/block_size_bytes': '40000000\n',
    'devices/system/node/node0/memory0/state': 'online',
    'devices/system/node/node1/memory6/state': 'online',
    'devices/system/node/possible': '0-1',
  }
  assert.deepEqual(readMemoryNodes(machine(t, shown)), [
    { id: 0, ranges: [range(0, G)] },
    { id: 1, ranges: [range(6 * G, 7 * G)] },
  ])
  const table = sratTable({
    memory: [
      { domain: 0, start: 0, lengthBytes: 2 * G },
      { domain: 1, start: 5 * G, lengthBytes: 2 * G },
    ],
  })
  assert.deepEqual(readMemoryNodes(machine(t, { ...shown, 'firmware/acpi/tables/SRAT': table })), [
    { id: 0, ranges: [range(0, 2 * G)] },
    { id: 1, ranges: [range(5 * G, 7 * G)] },
  ])
  assert.deepEqual(readMemoryNodes(machine(t, { 'devices/system/node/node0/cpulist': '0' })), [])
})
