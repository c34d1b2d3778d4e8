import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ENODATA, EPERM } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import { blocks, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'

const START = 4 * 2 ** 30
const NODE = 'trusted.guestmemfs.node'

/** Sixteen blocks: the first ten of node 1, the others of node 0. */
const PLACE = {
  start: START,
  lengthBytes: blocks(16),
  nodes: [
    { node: 1, start: START, lengthBytes: blocks(10) },
    { node: 0, start: START + blocks(10), lengthBytes: blocks(6) },
  ],
}

/** The same as `guestmemfs.pool` spells it. */
const SPELT = {
  startByte: START,
  sizeBytes: blocks(16),
  nodes: [
    { node: 1, startByte: START, sizeBytes: blocks(10) },
    { node: 0, startByte: START + blocks(10), sizeBytes: blocks(6) },
  ],
}

function pool(place?: typeof PLACE | Omit<typeof PLACE, 'nodes'>) {
  const made = fixture({ clearing: 'ours', totalBlocks: 16, ...(place && { place }) })
  const read = (ino: Ino, name: string) => {
    const value = made.fs.getXattr(ino, n(name))
    return value instanceof Uint8Array ? Buffer.from(value).toString() : value
  }
  return { ...made, read, map: (ino: Ino) => JSON.parse(String(read(ino, 'guestmemfs.map'))) }
}

test('a file lies in the nodes that its blocks are of; the root has those of the pool', () => {
  const { file, read, map } = pool(PLACE)
  const [first, across, last, empty] = [file('a', blocks(8)), file('b', blocks(4)), file('c', 1), file('d')]
  assert.deepEqual(
    [first, across, last, ROOT].map((ino) => read(ino, NODE)),
    ['1', '0,1', '0', '0,1'],
  )
  assert.equal(read(empty, NODE), ENODATA)
  assert.deepEqual([map(first).nodes, map(across).nodes, map(last).nodes], [[1], [0, 1], [0]])
  assert.equal('nodes' in map(empty), false)
  assert.deepEqual(JSON.parse(String(read(ROOT, 'guestmemfs.pool'))).place, SPELT)
})

test('it is only read, and not listed', () => {
  const { fs, rq, file, read } = pool(PLACE)
  const ino = file('f', blocks(1))
  assert.equal(fs.setXattr(rq(), ino, n(NODE), Buffer.from('0'), 0), EPERM)
  assert.equal(fs.removeXattr(rq(), ino, n(NODE)), EPERM)
  assert.equal(read(ino, NODE), '1')
  assert.deepEqual(ok(fs.listXattrs(ino)), [])
  const folder = ok(fs.mkdir(rq(), nameAt(ROOT, 'folder'), 0o755)).ino
  assert.equal(read(folder, NODE), ENODATA)
})

test('where the kernel shows no nodes, and in a pool that is no region, there is none', () => {
  const { nodes: _, ...bare } = PLACE
  for (const { file, read, map } of [pool(), pool(bare)]) {
    const ino = file('f', blocks(2))
    assert.equal(read(ino, NODE), ENODATA)
    assert.equal(read(ROOT, NODE), ENODATA)
    assert.equal('nodes' in map(ino), false)
  }
})
