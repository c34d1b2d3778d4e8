import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { E820, formatBytes, formatMemmap, type MemoryOption, memoryOptions, parseMemmap } from './memmap.ts'
import { splitCommandLine } from './memory-info.ts'

const G = 2 ** 30
const M = 2 ** 20

test('every form of memmap= and mem= is read', () => {
  const add = (start: number, lengthBytes: number, type: number): MemoryOption => ({
    kind: 'add',
    range: { start, lengthBytes },
    type,
  })
  const line =
    'quiet mem=64G memmap=nope memmap=4G@1M,0x10000#0x7fff0000,64K$0x18690000 memmap=8g!010 memmap=12G%4G-1+0xefffffff memmap=exactmap memmap=5G'
  assert.deepEqual(memoryOptions(splitCommandLine(line)), [
    { kind: 'limit', sizeBytes: 64 * G },
    { kind: 'malformed', text: 'nope', sizeBytes: undefined },
    add(M, 4 * G, E820.RAM),
    add(0x7fff_0000, 0x1_0000, E820.ACPI),
    add(0x1869_0000, 64 * 1024, E820.RESERVED),
    add(8, 8 * G, E820.PERSISTENT),
    { kind: 'retype', range: { start: 4 * G, lengthBytes: 12 * G }, from: 1, to: 0xefff_ffff },
    { kind: 'exactmap' },
    { kind: 'limit', sizeBytes: 5 * G },
  ])
})

test('oddities are read as the kernel reads them', () => {
  const retype = (text: string): unknown => {
    const option = parseMemmap(text)
    return option.kind === 'retype' ? [option.range.start, option.from, option.to] : option.kind
  }
  assert.deepEqual(retype('1G%4G'), [4 * G, 0, 0])
  assert.deepEqual(retype('1G%4G-2'), [4 * G, 2, 0])
  assert.deepEqual(retype('1G%4G+0xefffffff'), [4 * G, 0, 0xefff_ffff])
  assert.deepEqual(retype('1G%-1+2'), [0, 1, 2])
  // The two parts have their order, and nothing may follow.
  assert.equal(retype('1G%4G+2-1'), 'malformed')
  assert.equal(retype('1G%4G-1+2x'), 'malformed')
  // What follows the other forms is passed over.
  assert.deepEqual(parseMemmap('1G$4Gfoo'), parseMemmap('1G$4G'))
  assert.deepEqual(parseMemmap('1Gfoo'), { kind: 'limit', sizeBytes: G })
  assert.deepEqual(memoryOptions(['mem=nopentium', 'mem=0', 'memmap', 'memmapx=1G', '--', 'mem=1G']), [])
  assert.deepEqual(parseMemmap('0xffffffffffffffff'), { kind: 'limit', sizeBytes: Number.MAX_SAFE_INTEGER })
})

const bytes = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 40 }).map((pages) => pages * 4096),
  fc
    .integer({ min: 1, max: 1023 })
    .chain((count) => fc.constantFrom(M, G, 2 ** 40).map((unit) => count * unit)),
)
const plain = { noNullPrototype: true }
const range = fc.record({ start: bytes, lengthBytes: bytes }, plain)
const type = fc.constantFrom(0, 1, 2, 3, 12, 0xefff_ffff, 0x1_0000)
const option: fc.Arbitrary<MemoryOption> = fc.oneof(
  fc.record({ kind: fc.constant('limit' as const), sizeBytes: bytes }, plain),
  fc.record({ kind: fc.constant('add' as const), range, type: fc.constantFrom(1, 2, 3, 12) }, plain),
  fc.record({ kind: fc.constant('retype' as const), range, from: type, to: type }, plain),
  fc.constant({ kind: 'exactmap' as const }),
)

test('what is written is read back, alone and among others', () => {
  fc.assert(
    fc.property(fc.array(option, { minLength: 1, maxLength: 6 }), (options) => {
      const text = options.map(formatMemmap).join(',')
      assert.deepEqual(memoryOptions(splitCommandLine(`ro memmap=${text} quiet`)), options)
    }),
  )
})

test('no text makes the parser throw, and a number is never negative or lost', () => {
  const alphabet = fc.constantFrom(...'0123456789xXabcfGMKTgk%$#!@-+, ')
  fc.assert(
    fc.property(fc.string({ unit: alphabet, maxLength: 24 }), (text) => {
      for (const each of memoryOptions([`memmap=${text}`, `mem=${text}`])) {
        if (each.kind === 'limit') assert.ok(each.sizeBytes >= 0)
        if (each.kind === 'add' || each.kind === 'retype')
          assert.ok(each.range.start >= 0 && each.range.lengthBytes >= 0)
      }
    }),
  )
})

test('addresses are written in whole units, else in hexadecimal', () => {
  assert.deepEqual([0, 4096, 0x7fff_f123, 1536 * M, 5 * 2 ** 40].map(formatBytes), [
    '0',
    '0x1000',
    '0x7ffff123',
    '1536M',
    '5T',
  ])
})
