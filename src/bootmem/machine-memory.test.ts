/** Tests of reading a machine's memory, from folders laid out as sysfs and procfs are. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseIomem } from '../linux/iomem.ts'
import { E820 } from '../linux/memmap.ts'
import { UsageError } from '../values/errors.ts'
import { readMachineMemory } from './machine-memory.ts'

const G = 2 ** 30

function machine(t: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const root = mkdtempSync(join(tmpdir(), 'machine-'))
  t.after(() => rmSync(root, { recursive: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

const IOMEM = `00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000f0000-000fffff : Reserved
  000f0000-000fffff : System ROM
00100000-7ffd9fff : System RAM
  3fc00000-40bfffff : Kernel code
  40c00000-416bffff : Kernel rodata
  422d8000-427fffff : Kernel bss
  70000000-77ffffff : Crash kernel
fec00000-fec003ff : IOAPIC 0
100000000-23fffffff : Soft Reserved
  100000000-23fffffff : dax0.0
240000000-2ffffffff : System RAM
`

const FIRMWARE = Object.fromEntries(
  [
    ['0x100000', '0x7ffd9fff', 'System RAM'],
    ['0x0', '0x9fbff', 'System RAM'],
    ['0x7ffda000', '0x7fffffff', 'Device of some kind'],
    ['0x100000000', '0x2ffffffff', 'System RAM'],
  ].flatMap(([start, end, type], index) => [
    [`sys/firmware/memmap/${index}/start`, `${start}\n`],
    [`sys/firmware/memmap/${index}/end`, `${end}\n`],
    [`sys/firmware/memmap/${index}/type`, `${type}\n`],
  ]),
)

test('the firmware’s map, nodes by blocks, and what lies where', (t) => {
  const bootParams = Buffer.alloc(4096)
  bootParams.writeUInt32LE(0x7f8f2000, 0x218)
  bootParams.writeUInt32LE(1, 0x0c0)
  bootParams.writeUInt32LE(0x6dd944, 0x21c)
  const root = machine(t, {
    ...FIRMWARE,
    'proc/iomem': IOMEM,
    'sys/kernel/boot_params/data': bootParams,
    'sys/devices/system/memory/block_size_bytes': '8000000\n',
    ...Object.fromEntries(
      [0, 1, 32, 33].map((block) => [`sys/devices/system/node/node0/memory${block}/state`, 'online']),
    ),
    'sys/devices/system/node/node0/memory_failure/total': '0',
    'sys/devices/system/node/node10/cpulist': '0',
  })
  const { firmware, nodes, occupants } = readMachineMemory([], root)
  assert.deepEqual(
    firmware.map(({ type }) => type),
    [E820.RAM, E820.RAM, E820.RESERVED, E820.RAM],
  )
  assert.deepEqual(firmware.at(-1), { start: 4 * G, end: 12 * G, type: E820.RAM })
  assert.deepEqual(nodes, [
    {
      id: 0,
      ranges: [
        { start: 0, lengthBytes: G / 4 },
        { start: 4 * G, lengthBytes: G / 4 },
      ],
    },
    { id: 10, ranges: [] },
  ])
  assert.deepEqual(occupants, [
    { what: 'kernel', range: { start: 0x3fc00000, lengthBytes: 0x2c00000 } },
    { what: 'crash kernel', range: { start: 0x70000000, lengthBytes: 0x8000000 } },
    { what: 'initrd', range: { start: 0x17f8f2000, lengthBytes: 0x6dd944 } },
  ])
})

test('a carve-out belongs to the node that its memory would join', (t) => {
  const device = 'sys/devices/platform/hmem.0'
  const root = machine(t, {
    ...FIRMWARE,
    'sys/devices/system/memory/block_size_bytes': '8000000\n',
    'sys/devices/system/node/node0/memory0/state': 'online',
    'sys/devices/system/node/node1/cpulist': '',
    [`${device}/dax_region/size`]: String(5 * G),
    [`${device}/dax_region/id`]: '0',
    [`${device}/dax_region/align`]: '2097152',
    [`${device}/dax0.0/dev`]: '251:0',
    [`${device}/dax0.0/size`]: '0',
    [`${device}/dax0.0/resource`]: '0x100000000',
    [`${device}/dax0.0/target_node`]: '1',
    'sys/bus/dax/devices/none': '',
  })
  rmSync(join(root, 'sys/bus/dax/devices/none'))
  symlinkSync(join(root, device, 'dax0.0'), join(root, 'sys/bus/dax/devices/dax0.0'))
  assert.deepEqual(readMachineMemory([], root).nodes, [
    { id: 0, ranges: [{ start: 0, lengthBytes: G / 8 }] },
    { id: 1, ranges: [{ start: 4 * G, lengthBytes: 5 * G }] },
  ])
})

test('without the firmware’s map /proc/iomem is read, and a carve-out in it is RAM', (t) => {
  const root = machine(t, { 'proc/iomem': IOMEM })
  const ram = (carveOuts: { start: number; lengthBytes: number }[]): number[][] =>
    readMachineMemory(carveOuts, root)
      .firmware.filter(({ type }) => type === E820.RAM)
      .map(({ start, end }) => [start / G, end / G])
      .filter(([start]) => (start as number) >= 4)
  assert.deepEqual(ram([{ start: 4 * G, lengthBytes: 5 * G }]), [[4, 12]])
  assert.deepEqual(ram([]), [[9, 12]])
})

test('addresses that are hidden are no memory map', (t) => {
  const hidden = IOMEM.replaceAll(/[0-9a-f]{8,}/g, '00000000')
  assert.deepEqual(parseIomem(hidden), [])
  const root = machine(t, { 'proc/iomem': hidden })
  assert.throws(() => readMachineMemory([], root), UsageError)
})
