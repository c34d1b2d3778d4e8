/** Tests of the images in a next command line; test/vm/carried-machine.test.ts has those with a real QEMU. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommandLine, printCommandLine } from '../command-line.ts'
import type { BlockGraph, BlockNode, Drive } from './block-graph.ts'
import { carryDisks } from './carry-disks.ts'
import { CannotCarry } from './change.ts'

const LINE = [
  ...['qemu', '-blockdev', 'driver=file,node-name=file0,filename=/a.raw,aio=native'],
  ...['-blockdev', 'driver=raw,node-name=disk0,file=file0', '-device', 'virtio-blk-pci,drive=disk0,id=vd0'],
  ...['-drive', 'if=none,id=cd0,media=cdrom,file=/one.iso', '-device', 'ide-cd,drive=cd0,id=cdrom0'],
]

const node = (name: string, driver: string, file: string, children: object = {}): BlockNode => ({
  ...{ name, driver, file, isReadOnly: false, detectZeroes: 'off' },
  ...{ cache: { direct: true, 'no-flush': false }, children: new Map(Object.entries(children)) },
})
const BASE = [node('file0', 'file', '/a.raw'), node('disk0', 'raw', '/a.raw', { file: 'file0' })]
const MEDIUM = [node('#b1', 'raw', '/one.iso', { file: '#b2' }), node('#b2', 'file', '/one.iso')]
const drive = (top: string, medium: string | undefined = '#b1'): Drive[] => [
  { backend: '', device: 'vd0', node: top, sizeBytes: 1 << 20 },
  { backend: 'cd0', device: 'cdrom0', node: medium, sizeBytes: undefined },
]
const graph = (nodes: readonly BlockNode[], drives: readonly Drive[]): BlockGraph => ({
  nodes: new Map(nodes.map((item) => [item.name, item])),
  drives,
})
const carried = (given: BlockGraph): string[] =>
  printCommandLine(carryDisks(parseCommandLine(LINE), given).line)

test('a line that has everything stays as it was typed', () => {
  assert.deepEqual(carried(graph([...BASE, ...MEDIUM], drive('disk0'))), LINE)
})

test('an overlay without a name gets one, and the options that QEMU does not report', () => {
  const overlay = [
    node('#b8', 'qcow2', '/o,1.qcow2', { file: '#b9', backing: 'disk0' }),
    node('#b9', 'file', '/o,1.qcow2'),
  ]
  const line = carried(graph([...BASE, ...MEDIUM, ...overlay], drive('#b8')))
  assert.deepEqual(JSON.parse(line.at(-1) as string), {
    ...{ driver: 'raw', 'node-name': 'guestmemfs-opener-0', 'read-only': true },
    file: {
      ...{ driver: 'qcow2', 'node-name': 'guestmemfs-node-0', 'read-only': false, discard: 'ignore' },
      cache: { direct: true, 'no-flush': false },
      file: {
        ...{ driver: 'file', 'read-only': false, cache: { direct: true, 'no-flush': false } },
        ...{ aio: 'native', filename: '/o,1.qcow2' },
      },
      backing: 'disk0',
    },
  })
  assert.ok(line.includes('virtio-blk-pci,drive=guestmemfs-node-0,id=vd0'))
})

test('a medium that is gone, or another', () => {
  assert.ok(
    carried(
      graph(
        BASE,
        drive('disk0', undefined).with(1, {
          ...{ backend: 'cd0', device: 'cdrom0', node: undefined, sizeBytes: undefined },
        }),
      ),
    ).includes('if=none,id=cd0,media=cdrom'),
  )
  const other = [node('#b3', 'raw', '/t,wo.iso', { file: '#b4' }), node('#b4', 'file', '/t,wo.iso')]
  assert.ok(
    carried(graph([...BASE, ...other], drive('disk0', '#b3'))).includes(
      'if=none,id=cd0,media=cdrom,file=/t,,wo.iso,format=raw',
    ),
  )
})

test('what no line can express, or no QEMU has, is refused at once', () => {
  const refuse = (...nodes: BlockNode[]) =>
    assert.throws(() => carried(graph([...BASE, ...MEDIUM, ...nodes], drive('#top'))), CannotCarry)
  refuse(node('#top', 'quorum', '', { 'children.0': 'disk0' }))
  refuse(node('#top', 'raw', 'json:{}', { file: '#p' }), node('#p', 'file', 'json:{"x":1}'))
  // Each has the next one as a child twice, and the last has the first.
  const chain = Array.from({ length: 60 }, (_, at) => {
    const next = at === 59 ? '#top' : `#n${at + 1}`
    return node(at === 0 ? '#top' : `#n${at}`, 'qcow2', '/x', { file: next, backing: next })
  })
  refuse(...chain)
})
