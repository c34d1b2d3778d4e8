/** Tests of the doctor's findings about carve-outs, on regions as sysfs shows them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DaxDevice, DaxRegion } from '../linux/dax.ts'
import type { DeviceNumber } from '../linux/device-node.ts'
import { splitCommandLine } from '../linux/memory-info.ts'
import type { PhysicalRange } from '../linux/memory-ranges.ts'
import { type CarveOutView, carveOutFindings } from './check-carve-out.ts'
import type { FixableFinding } from './fix.ts'

const G = 2 ** 30
const M = 2 ** 20
const LINE = 'ro memmap=10G%16G-1+0xefffffff modprobe.blacklist=kmem'

const device = (name: string, mappings: PhysicalRange[], driver?: string): DaxDevice => ({
  name,
  path: `/sys/x/${name}`,
  driver,
  number: 0 as unknown as DeviceNumber,
  sizeBytes: mappings.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
  alignBytes: 2 * M,
  mappings,
})

const region = (start: number, sizeBytes: number, more: Partial<DaxRegion> = {}): DaxRegion => ({
  id: 0,
  path: '/sys/x',
  isCarveOut: true,
  isStatic: false,
  startByte: start,
  sizeBytes,
  alignBytes: 2 * M,
  targetNode: 0,
  devices: [device('dax0.0', [{ start, lengthBytes: sizeBytes }], 'device_dax')],
  ...more,
})

function judge(
  line: string,
  regions: readonly DaxRegion[],
  hasDriver = true,
  more: Partial<CarveOutView> = {},
): FixableFinding[] {
  const memory = { iomem: [], hasMemoryDevice: true, lockdown: undefined, unreadable: undefined }
  const others = { nodes: [], numbered: [] }
  const words = splitCommandLine(line)
  const findings = carveOutFindings({ words, regions, hasDriver, ...memory, ...others, ...more })
  assert.equal(new Set(findings.map(({ subject }) => subject)).size, findings.length)
  for (const { severity, advice } of findings) assert.equal(advice === undefined, severity === 'ok')
  return findings
}
const severities = (findings: readonly FixableFinding[]): string[] => findings.map(({ severity }) => severity)
function find(findings: readonly FixableFinding[], subject: string): FixableFinding {
  const finding = findings.find((each) => each.subject === subject)
  assert.ok(finding, `${subject} is among ${findings.map((each) => each.subject).join(', ')}`)
  return finding
}

test('a host without a carve-out has no finding', () => {
  assert.deepEqual(severities(judge('ro quiet', [])), ['ok'])
  // Persistent memory is no carve-out.
  assert.deepEqual(severities(judge('ro quiet', [region(4 * G, G, { isCarveOut: false })])), ['ok'])
})

test('a carve-out as it should be, whole or already with devices', () => {
  const whole = judge(LINE, [region(16 * G, 10 * G)])
  assert.deepEqual(severities(whole), ['ok', 'ok', 'ok', 'ok'])
  assert.match(find(whole, 'carve-out 10G at 16G').message, /dax0: 10G in pages of 2M, memory node 0/)
  const parts = [0, 4].map((at, index) =>
    device(`dax0.${index + 1}`, [{ start: (16 + at) * G, lengthBytes: 2 * G }], 'device_dax'),
  )
  const cut = region(16 * G, 10 * G, { startByte: undefined, devices: parts })
  assert.deepEqual(severities(judge(LINE, [cut])), ['ok', 'ok', 'ok', 'ok'])
})

test('a process that does not show root what it maps is named, with what that costs', () => {
  const unreadable = { pid: 42, program: 'confined', isUnreadable: true } as const
  const finding = find(judge(LINE, [region(16 * G, 10 * G)], true, { unreadable }), 'carve-out processes')
  assert.equal(finding.severity, 'warn')
  assert.match(finding.message, /confined \(process 42\) does not show root what it maps: .* not used again/)
})

test('drivers that are not loaded, and a range that came to nothing', () => {
  const without = find(judge(LINE, [], false), 'carve-out 10G at 16G')
  assert.equal(without.severity, 'error')
  assert.match(without.advice ?? '', /modprobe -a device_dax dax_hmem/)
  assert.ok(without.fix)
  assert.match(find(judge(LINE, []), 'carve-out 10G at 16G').message, /asked for, but not there/)
})

test('a kernel that put itself into the carve-out: what remains is named', () => {
  const line = LINE.replace('10G%16G', '5G%4G')
  const parts = [region(4 * G, 608 * M), region(0x128c3_0000, 4461 * M, { id: 1 })]
  const findings = judge(line, parts)
  assert.match(
    find(findings, 'carve-out 5G at 4G').message,
    /not whole: only 608M at 4G and 4461M at 0x128c30000/,
  )
  const kaslr = find(findings, 'carve-out KASLR')
  assert.equal(kaslr.severity, 'error')
  assert.match(kaslr.advice ?? '', /add memmap=4G%0-0xeffffffe\+1 /)
  assert.equal(find(judge(`${line} memmap=4G%0-0xeffffffe+1`, parts), 'carve-out KASLR').severity, 'ok')
  assert.equal(find(judge(`${line} nokaslr`, parts), 'carve-out KASLR').severity, 'ok')
})

test('a reserved range: as it should be, taken back, taken by a driver, out of reach', () => {
  const line = 'ro memmap=1G$4G memmap=4K$0x12345000'
  const name = 'reserved 1G at 4G'
  const range = { start: 4 * G, lengthBytes: G }
  const reserved = { depth: 0, range, name: 'Reserved' }
  const look = (more: Partial<CarveOutView>) =>
    find(judge(line, [], false, { iomem: [reserved], ...more }), name)
  assert.equal(look({}).severity, 'ok')
  assert.deepEqual(severities(judge(line, [], false, { iomem: [reserved] })), ['ok', 'ok', 'ok'])
  assert.match(look({ iomem: [{ ...reserved, name: 'System RAM' }] }).message, /partly ordinary RAM/)
  assert.match(
    look({ iomem: [reserved, { ...reserved, depth: 1, name: 'ramoops' }] }).message,
    /held by 'ramoops'/,
  )
  assert.equal(look({ iomem: [] }).severity, 'warn', 'a user who may not see addresses gets a warning')
  assert.match(look({ hasMemoryDevice: false }).message, /no \/dev\/mem/)
  assert.match(look({ lockdown: 'integrity' }).message, /locked down \(integrity\)/)
})

test('kmem: claimed, not kept away, kept away', () => {
  const kmem = (line: string, driver: string): FixableFinding =>
    find(judge(line, [region(16 * G, 10 * G, { devices: [device('dax0.0', [], driver)] })]), 'carve-out kmem')
  const bare = LINE.replace(/ modprobe.*/, '')
  assert.deepEqual([kmem(bare, 'kmem').severity, kmem(LINE, 'kmem').severity], ['error', 'error'])
  assert.match(kmem(bare, 'kmem').message, /dax0\.0 is ordinary RAM now/)
  assert.equal(kmem(bare, 'device_dax').severity, 'warn')
  assert.equal(kmem(LINE, 'device_dax').severity, 'ok')
})

test('soft-reserved memory of the firmware needs no option', () => {
  const findings = judge('modprobe.blacklist=kmem', [region(64 * G, 8 * G, { id: 3 })])
  assert.match(find(findings, 'carve-out 3').message, /offered by the firmware/)
  assert.deepEqual(severities(findings), ['ok', 'ok', 'ok', 'ok'])
})

const TWO =
  'memmap=1G%4G-1+0xefffffff memmap=1G%6G-1+0xefffffff memmap=4G%0-0xeffffffe+1 modprobe.blacklist=kmem'
const NODES = [
  { id: 0, ranges: [{ start: 0, lengthBytes: 6 * G }] },
  { id: 1, ranges: [{ start: 6 * G, lengthBytes: 64 * G }] },
]

test('several carve-outs: a finding for each, with its memory node', () => {
  const regions = [region(4 * G, G), region(6 * G, G, { id: 1, targetNode: 1 })]
  const findings = judge(TWO, regions, true, { nodes: NODES })
  assert.deepEqual([...new Set(severities(findings))], ['ok'])
  assert.match(find(findings, 'carve-out 1G at 4G').message, /^dax0: .*memory node 0$/)
  assert.match(find(findings, 'carve-out 1G at 6G').message, /^dax1: .*memory node 1$/)
  const [first] = regions
  const half = judge(TWO, first === undefined ? [] : [first], true, { nodes: NODES })
  assert.match(find(half, 'carve-out 1G at 6G').advice ?? '', /plan it anew beside the others/)
})

test('a carve-out that lies in two nodes is a warning, of either kind', () => {
  const both = judge(
    'memmap=4G%4G-1+0xefffffff memmap=2G$68G modprobe.blacklist=kmem',
    [region(4 * G, 4 * G)],
    true,
    { nodes: [...NODES, { id: 2, ranges: [{ start: 69 * G, lengthBytes: G }] }] },
  )
  assert.match(find(both, 'carve-out nodes of 4G at 4G').message, /lies in memory nodes 0, 1$/)
  assert.match(find(both, 'carve-out nodes of 2G at 68G').message, /lies in memory nodes 1, 2$/)
})

test('of several, one that fstab names by its number is a warning', () => {
  const regions = [region(4 * G, G), region(6 * G, G, { id: 1 })]
  const numbered = [
    { pool: 'p', region: 'dax1.0' },
    { pool: 'q', region: 'dax7' },
  ]
  const findings = judge(TWO, regions, true, { numbered })
  assert.equal(find(findings, 'carve-out of pool p').advice, 'write region=0x180000000')
  assert.equal(find(findings, 'carve-out of pool q').advice, 'write its first byte')
  assert.deepEqual(
    [...new Set(severities(judge(LINE, [region(16 * G, 10 * G)], true, { numbered })))],
    ['ok'],
  )
})
