/**
 * Tests of what a command line means for a carve-out: the memory map it makes, where KASLR may go, which
 * drivers are kept away.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { E820, memoryOptions } from '../linux/memmap.ts'
import { splitCommandLine } from '../linux/memory-info.ts'
import { carveOuts, carveOutWord, keepsKmemAway, wordsAgainstKaslr } from './carve-out.ts'
import { kaslrMayLandIn, kaslrView } from './kaslr.ts'
import { applyMemoryOptions, type E820Entry, rangesOfType, softReserved } from './memory-map.ts'

const G = 2 ** 30
const M = 2 ** 20

test('KASLR takes memmap=SIZE%START for a limit of SIZE', () => {
  const may = (line: string, start: number, lengthBytes: number): boolean =>
    kaslrMayLandIn(splitCommandLine(line), { start, lengthBytes })
  assert.equal(may('memmap=1G%4G-1+0xefffffff', 4 * G, G), false)
  assert.equal(may('memmap=10G%4G-1+0xefffffff', 4 * G, 10 * G), true)
  assert.equal(may('memmap=4G%4G-1+0xefffffff', 4 * G, 4 * G), false)
  assert.equal(may('memmap=10G%4G-1+0xefffffff nokaslr', 4 * G, 10 * G), false)
  assert.equal(may('memmap=10G%4G-1+0xefffffff mem=2G', 4 * G, 10 * G), false)
  assert.equal(may('memmap=10G$4G', 4 * G, 10 * G), false)
  assert.equal(may('memmap=9G$4G', 4 * G, 10 * G), true)
  assert.equal(may('', 4 * G, G), true)
})

test('a ceiling is as high as it can be: below what KASLR may land in, and not below what it avoids', () => {
  const broken = 'memmap=64K$0x18690000'
  const large = ['memmap=4G%8G-1+0xefffffff', 'memmap=12G%16G-1+0xefffffff']
  assert.deepEqual(wordsAgainstKaslr([...large, broken]), [])
  assert.deepEqual(wordsAgainstKaslr([...large.slice(1), broken]), [])
  const low = ['memmap=20G%8G-1+0xefffffff', 'memmap=20G%64G-1+0xefffffff']
  assert.deepEqual(wordsAgainstKaslr([...low, broken]), ['memmap=8G%0-0xeffffffe+1'])
})

test('KASLR keeps four ranges, and does not look at options after them', () => {
  const four = 'memmap=1G$4G,1G$8G,1G$12G,1G$16G'
  assert.equal(kaslrView([four]).movesKernel, true)
  assert.equal(kaslrView([`${four},1G$20G`]).movesKernel, false)
  const late = kaslrView([four, 'memmap=1G%32G-1+0xefffffff', 'memmap=1G$20G'])
  assert.deepEqual(
    [late.avoided.length, late.limitBytes, late.movesKernel],
    [4, Number.POSITIVE_INFINITY, true],
  )
  // A part that is no number ends its option; a reserved range at 0 is a limit.
  assert.equal(kaslrView(['memmap=x,1G$4G']).avoided.length, 0)
  assert.equal(kaslrView(['memmap=64M$0']).limitBytes, 64 * M)
  assert.equal(kaslrView(['mem=0', 'mem=1G']).limitBytes, Number.POSITIVE_INFINITY)
})

test('carve-outs of a command line, and who is kept away from them', () => {
  const range = { start: 16 * G, lengthBytes: 10 * G }
  assert.equal(carveOutWord(range), 'memmap=10G%16G-1+0xefffffff')
  assert.deepEqual(carveOuts(['ro', carveOutWord(range), 'memmap=1G$4G', 'memmap=1G%8G+0xefffffff']), [
    range,
    { start: 8 * G, lengthBytes: G },
  ])
  assert.equal(keepsKmemAway(['modprobe.blacklist=nouveau,kmem']), true)
  assert.equal(keepsKmemAway(['module_blacklist=kmem']), true)
  assert.equal(keepsKmemAway(['modprobe.blacklist=kmem2', 'kmem']), false)
})

const FIRMWARE: E820Entry[] = [
  { start: 0, end: 640 * 1024, type: E820.RAM },
  { start: M, end: 3 * G, type: E820.RAM },
  { start: 3.5 * G, end: 4 * G, type: E820.RESERVED },
  { start: 4 * G, end: 8 * G, type: E820.RAM },
]
const after = (...words: string[]): E820Entry[] => applyMemoryOptions(FIRMWARE, memoryOptions(words))
const carved = (...words: string[]): number[][] =>
  softReserved(after(...words)).map(({ start, lengthBytes }) => [start / M, lengthBytes / M])

test('a carve-out is what was RAM in its range', () => {
  assert.deepEqual(carved('memmap=1G%4G-1+0xefffffff'), [[4096, 1024]])
  assert.deepEqual(carved('memmap=1G%2560M-1+0xefffffff'), [[2560, 512]])
  assert.deepEqual(carved('memmap=1G%8G-1+0xefffffff'), [], 'nothing is there')
  assert.deepEqual(carved('mem=5G', 'memmap=2G%4G-1+0xefffffff'), [[4096, 1024]])
  assert.deepEqual(carved('memmap=2G%4G-1+0xefffffff', 'mem=5G'), [[4096, 2048]], 'a limit takes RAM alone')
  assert.deepEqual(carved('memmap=exactmap', 'memmap=1G%4G-1+0xefffffff'), [])
  assert.deepEqual(carved('memmap=1G%4G-1+0xefffffffx'), [], 'malformed')
})

test('soft-reserved neighbours stay apart, and the larger type wins where options overlap', () => {
  const one = 'memmap=1G%4G-1+0xefffffff'
  assert.deepEqual(carved(one, 'memmap=1G%5G-1+0xefffffff'), [
    [4096, 1024],
    [5120, 1024],
  ])
  assert.deepEqual(carved(one, 'memmap=512M$4G'), [
    [4096, 512],
    [4608, 512],
  ])
  assert.deepEqual(carved('memmap=512M$4G', one), carved(one, 'memmap=512M$4G'))
  assert.deepEqual(
    rangesOfType(after('memmap=5G@2G'), E820.RAM).map(({ start, lengthBytes }) => [
      start / M,
      lengthBytes / M,
    ]),
    [
      [0, 640 / 1024],
      [1, 3.5 * 1024 - 1],
      [4096, 4096],
    ],
    'RAM does not cover what is reserved',
  )
})

test('whatever the options are: a map that ascends without overlap, and each byte as the table has it', () => {
  const size = fc.integer({ min: 0, max: 40 }).map((count) => `${count * 256}M`)
  const tail = fc.constantFrom('-1+0xefffffff', '+12', '-1', '', '-2+1')
  const word = fc.oneof(
    fc.tuple(size, size, tail).map(([length, start, types]) => `memmap=${length}%${start}${types}`),
    fc.tuple(size, fc.constantFrom('$', '@', '#', '!'), size).map((parts) => `memmap=${parts.join('')}`),
    size.map((limit) => `mem=${limit}`),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), fc.integer({ min: 0, max: 40 }), (words, chunk) => {
      const map = after(...words)
      for (const [index, { start, end }] of map.entries())
        assert.ok(start < end && (map[index + 1]?.start ?? end) >= end)
      // One byte, as the set of the types of all entries over it, followed through the options.
      const at = chunk * 256 * M + M
      const covering = (list: readonly E820Entry[]): number[] =>
        list.filter(({ start, end }) => start <= at && at < end).map((entry) => entry.type)
      let types = covering(FIRMWARE)
      for (const option of memoryOptions(words)) {
        if (option.kind === 'limit' && at >= option.sizeBytes)
          types = types.filter((type) => type !== E820.RAM)
        if (option.kind !== 'add' && option.kind !== 'retype') continue
        if (at < option.range.start || at >= option.range.start + option.range.lengthBytes) continue
        if (option.kind === 'add') types = [...types, option.type]
        else if (option.from === 0) types = option.to === 0 ? [] : [...types, option.to]
        else
          types = types.flatMap((type) =>
            type !== option.from ? [type] : option.to === 0 ? [] : [option.to],
          )
      }
      assert.deepEqual(covering(map), types.length === 0 ? [] : [Math.max(...types)])
    }),
  )
})
