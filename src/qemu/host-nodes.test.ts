import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommandLine } from './command-line.ts'
import { askedNodes, describeMisplaced, misplacedRam, nodesForKernel } from './host-nodes.ts'
import type { RamMap } from './ram-file.ts'

const MIB = 2 ** 20
const object = (id: string, words: string): string[] => [
  '-object',
  `memory-backend-file,id=${id},size=64M,mem-path=/mnt/gm/${id},share=on${words}`,
]
const asked = (...words: string[]) => askedNodes(parseCommandLine(['qemu', ...words]))

test('nodes as QEMU reads them: one, several, a range, JSON', () => {
  assert.deepEqual(asked(...object('a', ',policy=bind,host-nodes=1')), [
    { id: 'a', policy: 'bind', nodes: [1] },
  ])
  assert.deepEqual(asked(...object('a', ',host-nodes=3,policy=interleave,host-nodes=0-1')), [
    { id: 'a', policy: 'interleave', nodes: [0, 1, 3] },
  ])
  const json = JSON.stringify({
    'qom-type': 'memory-backend-ram',
    id: 'b',
    policy: 'preferred',
    'host-nodes': [2, 0],
  })
  assert.deepEqual(asked('-object', json), [{ id: 'b', policy: 'preferred', nodes: [0, 2] }])
  assert.deepEqual(
    asked(...object('a', ''), ...object('b', ',host-nodes=1'), ...object('c', ',policy=bind')),
    [],
  )
})

/** A guest with one RAM file, and where it lies. */
function misplaced(words: string, map: Partial<RamMap>) {
  const definition = {
    argv: ['qemu', ...object('a', words)],
    ramFiles: [{ id: 'a', path: '/mnt/gm/a', sizeBytes: 64 * MIB }],
  }
  const whole = { by: 'dax-node', sizeBytes: 64 * MIB, alignBytes: 2 * MIB, ...map } as RamMap
  return {
    lines: misplacedRam(definition, () => whole).map(describeMisplaced),
    forKernel: nodesForKernel(definition, () => whole).length,
  }
}

test('RAM of a region is compared with what the line asks', () => {
  const bind = ',policy=bind,host-nodes=1'
  assert.deepEqual(misplaced(bind, { nodes: [1] }).lines, [])
  assert.deepEqual(misplaced(bind, { nodes: [0] }).lines, [
    "memory backend 'a' on /mnt/gm/a asks for memory node 1 (policy=bind), and lies in memory node 0",
  ])
  assert.match(misplaced(bind, { nodes: [0, 1] }).lines[0] ?? '', /lies in memory node 0, 1$/)
  assert.deepEqual(misplaced(',policy=bind,host-nodes=0-2', { nodes: [0, 1] }).lines, [])
  assert.deepEqual(misplaced('', { nodes: [0] }).lines, [])
})

test('interleaved RAM is to be of each node that is asked for', () => {
  const words = ',policy=interleave,host-nodes=0-1'
  assert.deepEqual(misplaced(words, { nodes: [0, 1] }).lines, [])
  assert.match(
    misplaced(words, { nodes: [1] }).lines[0] ?? '',
    /asks for memory node 0, 1 \(policy=interleave\)/,
  )
})

test('what is not known is no fault; the kernel places all that is in no region', () => {
  const words = ',policy=bind,host-nodes=1'
  assert.deepEqual(misplaced(words, {}), { lines: [], forKernel: 0 })
  assert.deepEqual(misplaced(words, { by: 'devmem', nodes: [1] }), { lines: [], forKernel: 0 })
  assert.deepEqual(misplaced(words, { by: 'passthrough' }), { lines: [], forKernel: 1 })
  const definition = { argv: ['qemu', ...object('b', words)], ramFiles: [] }
  assert.equal(nodesForKernel(definition).length, 1)
  assert.deepEqual(nodesForKernel({ ...definition, vmm: {} }), [], 'its line is not for QEMU')
})
