/** Tests of `reserve` for several memory nodes: a range in each, and what all of them leave to the host. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { E820, memoryOptions, reservedRanges } from '../linux/memmap.ts'
import { splitCommandLine } from '../linux/memory-info.ts'
import { covers, type PhysicalRange, totalBytes } from '../linux/memory-ranges.ts'
import { UsageError } from '../values/errors.ts'
import { GIB, MIB } from '../values/units.ts'
import { carveOuts, KMEM_WORD } from './carve-out.ts'
import { kaslrMayLandIn } from './kaslr.ts'
import type { MachineMemory } from './machine-memory.ts'
import { applyMemoryOptions, rangesOfType, softReserved } from './memory-map.ts'
import { grubFile } from './reserve-loaders.ts'
import { planReserve, type ReservePlan } from './reserve-plan.ts'
import { placesOf } from './reserve-request.ts'
import { LAPTOP, SERVER } from './testing/machines.ts'

interface Typed {
  readonly size: string
  readonly numa?: string
  readonly at?: string
  readonly type?: 'soft-reserved' | 'reserved'
  readonly replace?: boolean
  readonly line?: string
}

function plan(memory: MachineMemory, { size, numa, at, type, replace, line }: Typed): ReservePlan {
  const places = placesOf({ size, numa, at }, memory.nodes)
  return planReserve(memory, line ?? 'root=/dev/vda', {
    places,
    type: type ?? 'soft-reserved',
    replace: replace ?? false,
  })
}

function refusal(memory: MachineMemory, typed: Typed): string {
  try {
    plan(memory, typed)
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error))
    return error.message
  }
  return 'not refused'
}

const rangesOf = ({ ranges }: ReservePlan): PhysicalRange[] => ranges.map(({ range }) => range)
const range = (start: number, lengthBytes: number): PhysicalRange => ({ start, lengthBytes })

test('a server: a range in each of its memory nodes, one word each, one for kmem', () => {
  const made = plan(SERVER, { size: '100G', numa: '0,1' })
  assert.deepEqual(
    made.ranges.map(({ nodes }) => nodes),
    [[0], [1]],
  )
  assert.deepEqual(rangesOf(made), [range(4 * GIB, 100 * GIB), range(194 * GIB, 100 * GIB)])
  assert.deepEqual(made.addWords, [
    'memmap=100G%4G-1+0xefffffff',
    'memmap=100G%194G-1+0xefffffff',
    'memmap=4G%0-0xeffffffe+1',
    KMEM_WORD,
  ])
  assert.deepEqual(
    made.nodesKeep.map(({ node, keepsBytes }) => [node, Math.round(keepsBytes / GIB)]),
    [
      [0, 92],
      [1, 92],
    ],
  )
  assert.equal(made.hasOthers, true)
  assert.equal(grubFile(made).path, '/etc/default/grub.d/50-guestmemfs-4G.cfg')
  assert.match(grubFile(made).text, /100G%4G.*100G%194G/)
  assert.deepEqual(rangesOf(plan(SERVER, { size: '100G', numa: 'all' })), rangesOf(made))
  assert.deepEqual(rangesOf(plan(SERVER, { size: '100G', numa: '1,0' })), rangesOf(made).toReversed())
})

test('a size for each node; what all of them leave to the host is what counts', () => {
  const made = plan(SERVER, { size: '20G,180G', numa: '0,1' })
  assert.deepEqual(
    rangesOf(made).map(({ lengthBytes }) => lengthBytes / GIB),
    [20, 180],
  )
  assert.match(
    refusal(SERVER, { size: '189G,192G', numa: '0,1' }),
    /^size 189G and 192G is too much: of .* at most \d+M can go in all$/,
  )
  assert.match(
    refusal(SERVER, { size: '191G,1G', numa: '0,1' }),
    /in memory node 0: the longest piece is 190G at 4G/,
  )
  assert.match(plan(SERVER, { size: '192G', numa: '1' }).notes.join('\n'), /memory node 1 keeps no RAM/)
})

test('reserved ranges, and the present ones replaced by others', () => {
  const hidden = plan(SERVER, { size: '64G', numa: '0,1', type: 'reserved' })
  assert.deepEqual(reservedRanges(splitCommandLine(hidden.commandLine)), rangesOf(hidden))
  assert.match(hidden.notes.join('\n'), /the one at 194G is hidden/)
  const again = plan(SERVER, { size: '32G', numa: '0,1', replace: true, line: hidden.commandLine })
  assert.deepEqual(again.dropWords, hidden.addWords)
  assert.deepEqual(carveOuts(splitCommandLine(again.commandLine)), rangesOf(again))
})

test('one more beside one that is there: its mount must be named, too', () => {
  const first = plan(SERVER, { size: '64G', numa: '0' })
  assert.equal(first.hasOthers, false)
  const second = plan(SERVER, { size: '64G', numa: '1', line: first.commandLine })
  assert.equal(second.hasOthers, true)
})

test('requests that make no sense', () => {
  assert.match(refusal(SERVER, { size: '1G,2G' }), /--size has 2 sizes, and --numa names no memory node/)
  assert.match(refusal(SERVER, { size: '1G,2G,3G', numa: '0,1' }), /has 3 sizes, and --numa names 2/)
  assert.match(refusal(SERVER, { size: '1G', numa: '0,0' }), /names memory node 0 twice/)
  assert.match(refusal(SERVER, { size: '1G', numa: '0,x' }), /memory node 'x' is not a number/)
  assert.match(refusal(SERVER, { size: '1G', numa: '0,1', at: '8G' }), /--at is the address of one/)
  assert.match(
    refusal(SERVER, { size: '1G', numa: '0,2' }),
    /no memory node 2 on this machine: there are 0, 1/,
  )
  assert.match(refusal({ ...LAPTOP, nodes: [] }, { size: '1G', numa: 'all' }), /are not known/)
  assert.match(refusal(SERVER, { size: '1G,3M', numa: '0,1' }), /size 3M is not a multiple of 2M/)
})

test('whatever the sizes, each range is of its node, whole, and out of KASLR’s way', () => {
  const size = fc.integer({ min: 32, max: 90 * 512 }).map((blocks) => `${blocks * 2}M`)
  fc.assert(
    fc.property(size, size, fc.constantFrom('soft-reserved', 'reserved'), (one, other, type) => {
      const made = plan(SERVER, { size: `${one},${other}`, numa: '0,1', type })
      const words = splitCommandLine(made.commandLine)
      const map = applyMemoryOptions(SERVER.firmware, memoryOptions(words))
      const ranges = rangesOf(made)
      for (const [index, each] of ranges.entries()) {
        assert.ok(covers(SERVER.nodes[index]?.ranges ?? [], each))
        assert.ok(!kaslrMayLandIn(words, each))
        if (type === 'reserved') assert.ok(covers(rangesOfType(map, E820.RESERVED), each))
        else assert.ok(softReserved(map).some(({ start }) => start === each.start))
      }
      const left = totalBytes(rangesOfType(map, E820.RAM))
      assert.equal(left, made.hostKeepsBytes)
      assert.ok(left >= GIB && ranges.every(({ start }) => start % (2 * MIB) === 0))
    }),
  )
})
