import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeBytes } from '../linux/page-nodes.ts'
import type { RamMap } from '../qemu/ram-file.ts'
import type { Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { ramNodeFindings } from './check-ram-nodes.ts'

const MIB = 2 ** 20
const PID = 42

/** A guest with two RAM files; the second asks for node 1. */
function guest(isRunning: boolean): Vm {
  const object = (id: string, words = '') =>
    `memory-backend-file,id=${id},size=64M,mem-path=/mnt/gm/${id},share=on${words}`
  const argv = ['qemu', '-object', object('a'), '-object', object('b', ',policy=bind,host-nodes=1')]
  const ramFiles = ['a', 'b'].map((id) => ({ id, path: `/mnt/gm/${id}`, sizeBytes: 64 * MIB }))
  return {
    definition: { name: 'web', argv, ramFiles },
    state: isRunning ? 'running' : 'saved',
    qemu: isRunning ? { pid: PID } : undefined,
  } as unknown as Vm
}

function judge(map: Partial<RamMap>, pages: readonly NodeBytes[] = [], isRunning = true): string[] {
  const found = ramNodeFindings([guest(isRunning)], {
    mapOf: () => ({ by: 'dax-node', sizeBytes: 64 * MIB, alignBytes: 2 * MIB, ...map }) as RamMap,
    pagesOf: (pid, path) => (pid === PID && path === '/mnt/gm/b' ? pages : []),
  })
  return found.map(
    ({ severity, subject, message, advice = '' }) => `${severity} ${subject}: ${message} ${advice}`,
  )
}

test('a file of a region is where it is', () => {
  assert.deepEqual(judge({ nodes: [1] }), ['ok VM web b: in memory node 1, as its line asks '])
  assert.match(
    judge({ nodes: [0] })[0] ?? '',
    /^warn VM web b: .* asks for memory node 1 .* lies in memory node 0 give/,
  )
  assert.match(judge({ by: 'devmem', nodes: [0] }, [], false)[0] ?? '', /^warn VM web b/)
  assert.deepEqual(judge({}), [], 'the server does not know it')
})

test('of a memfd the pages that the guest has mapped are looked at', () => {
  const memfd = { by: 'passthrough' } as const
  assert.deepEqual(judge(memfd, [{ node: 1, bytes: MIB }]), [
    'ok VM web b: in memory node 1, as its line asks ',
  ])
  const pages = [
    { node: 0, bytes: 3 * MIB },
    { node: 1, bytes: MIB },
  ]
  assert.deepEqual(judge(memfd, pages), [
    'warn VM web b: 3M in memory node 0, where its line asks for 1 (policy=bind) migratepages 42 0 1',
  ])
  assert.deepEqual(judge(memfd), [], 'none is mapped yet')
  assert.deepEqual(judge(memfd, pages, false), [], 'no process maps it')
})

test('a file that is gone has no finding here', () => {
  const found = ramNodeFindings([guest(true)], {
    mapOf: () => {
      throw new UsageError('gone')
    },
    pagesOf: () => [],
  })
  assert.deepEqual(found, [])
})
