import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommandLine, printCommandLine } from './command-line.ts'
import type { RamMap } from './ram-file.ts'
import { hasWindow, withRamMappings } from './ram-mapping.ts'

const MIB = 2 ** 20
const WINDOW: RamMap = {
  by: 'devmem',
  path: '/dev/mem',
  offsetBytes: 2 ** 32,
  sizeBytes: 64 * MIB,
  alignBytes: 2 * MIB,
}
const DEVICE: RamMap = { by: 'dax-node', sizeBytes: 2 ** 30, alignBytes: 2 ** 30 }
const RAM = 'memory-backend-file,id=ram,size=64M,mem-path=/mnt/gm/a,,b,share=on,align=2M'

function reached(map: RamMap, ...objects: string[]): string[] {
  const words = ['qemu', ...objects.flatMap((object) => ['-object', object]), '-nographic']
  return printCommandLine(withRamMappings(parseCommandLine(words), [{ id: 'ram', map }]))
}

test("the window takes the file's place; all else stays as it was typed", () => {
  assert.deepEqual(reached(WINDOW, 'rng-random,id=other', RAM), [
    'qemu',
    ...['-object', 'rng-random,id=other'],
    ...[
      '-object',
      'memory-backend-file,id=ram,size=64M,mem-path=/dev/mem,share=on,align=2M,offset=4294967296',
    ],
    '-nographic',
  ])
  const json = { 'qom-type': 'memory-backend-file', id: 'ram', size: 1, 'mem-path': '/x', align: 2 * MIB }
  assert.deepEqual(JSON.parse(reached(WINDOW, JSON.stringify(json))[2] as string), {
    ...json,
    'mem-path': '/dev/mem',
    offset: 2 ** 32,
  })
  assert.equal(hasWindow([{ id: 'ram', map: WINDOW }]), true)
})

test('memory of a region has no host-nodes: it is where it is', () => {
  const bound = `${RAM},policy=bind,host-nodes=0-1,host-nodes=3,prealloc=on`
  assert.equal(reached({ ...DEVICE, alignBytes: 2 * MIB }, bound)[2], `${RAM},prealloc=on`)
  assert.doesNotMatch(reached(WINDOW, bound)[2] as string, /host-nodes|policy/)
  const json = {
    'qom-type': 'memory-backend-file',
    id: 'ram',
    policy: 'bind',
    'host-nodes': [1],
    align: 2 * MIB,
  }
  const { policy: _, 'host-nodes': __, ...rest } = json
  assert.deepEqual(
    JSON.parse(reached({ ...DEVICE, alignBytes: 2 * MIB }, JSON.stringify(json))[2] as string),
    rest,
  )
  const memfd: RamMap = { by: 'passthrough', sizeBytes: 64 * MIB, alignBytes: 2 * MIB }
  assert.equal(reached(memfd, bound)[2], bound, 'the kernel places the pages of a memfd')
  assert.equal(
    reached(DEVICE, RAM, bound.replace('id=ram', 'id=other')).at(-2),
    bound.replace('id=ram', 'id=other'),
  )
})

test('gigantic pages ask for their alignment, and no more than that changes', () => {
  assert.equal(reached(DEVICE, RAM)[2], RAM.replace('align=2M', 'align=1073741824'))
  assert.equal(reached({ ...DEVICE, alignBytes: 2 * MIB }, RAM)[2], RAM)
  assert.equal(hasWindow([{ id: 'ram', map: DEVICE }]), false)
})
