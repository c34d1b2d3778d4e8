/**
 * Ordinary files and guest RAM apart from each other: random files of both kinds against a plain scan of the
 * pool, and a file system over such a store. A failure prints its seed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Extent } from '../../stores/store.ts'
import { ENOSPC } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import { Refusal, WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import { blocks, checkInvariants, fixture, fixtureOver, ok } from '../testing/fixture.ts'
import { Allocator } from './allocator.ts'
import { countBlocks } from './extents.ts'

const RAM = { guestRam: true }
const ORDINARY = { guestRam: false }

type Block = 'clean' | 'dirty' | 'bad' | 'ordinary' | 'guestRam'

/** What the rule says, by scanning the pool: `pool` has one entry for each block. */
class Scan {
  readonly pool: Block[]
  readonly chunkBlocks: number

  constructor(totalBlocks: number, chunkBlocks: number) {
    this.pool = new Array(totalBlocks).fill('clean')
    this.chunkBlocks = chunkBlocks
  }

  chunkOf(block: number): Block[] {
    const start = block - (block % this.chunkBlocks)
    return this.pool.slice(start, start + this.chunkBlocks)
  }

  count(states: readonly Block[], where: (chunk: Block[]) => boolean): number {
    return this.pool.filter((state, at) => states.includes(state) && where(this.chunkOf(at))).length
  }

  /** May such a file have a block of this chunk. */
  readonly mayHave = {
    guestRam: (chunk: Block[]) => !chunk.includes('ordinary'),
    ordinary: (chunk: Block[]) => !chunk.includes('guestRam'),
  }

  /**
   * Where the only clean blocks for one more ordinary block may be: in data chunks, otherwise in the highest
   * open chunk.
   */
  placeForOne(): Set<number> {
    const clean = [...this.pool.keys()].filter((at) => this.pool[at] === 'clean')
    const inDataChunks = clean.filter((at) => this.chunkOf(at).includes('ordinary'))
    if (inDataChunks.length > 0) return new Set(inDataChunks)
    const open = clean.filter((at) => this.mayHave.ordinary(this.chunkOf(at)))
    const highest = Math.floor((open.at(-1) ?? 0) / this.chunkBlocks)
    return new Set(open.filter((at) => Math.floor(at / this.chunkBlocks) === highest))
  }

  set({ start, count }: Extent, state: Block): void {
    this.pool.fill(state, start, start + count)
  }
}

test('files of both kinds: never in one chunk, all or nothing, ENOSPC and waiting exactly as the rule has it', () => {
  const step = fc.record({
    kind: fc.constantFrom(
      'grow' as const,
      'grow' as const,
      'shrink' as const,
      'zero' as const,
      'spoil' as const,
    ),
    guestRam: fc.boolean(),
    count: fc.integer({ min: 1, max: 11 }),
    which: fc.nat(),
  })
  const pool = fc.record({
    totalBlocks: fc.integer({ min: 1, max: 45 }),
    chunkBlocks: fc.integer({ min: 1, max: 9 }),
    steps: fc.array(step, { maxLength: 80, size: 'max' }),
  })
  fc.assert(
    fc.property(pool, ({ totalBlocks, chunkBlocks, steps }) => {
      const allocator = new Allocator(totalBlocks, chunkBlocks)
      const scan = new Scan(totalBlocks, chunkBlocks)
      const files: { guestRam: boolean; extents: Extent[] }[] = []
      for (const { kind, guestRam, count, which } of steps) {
        const use = guestRam ? 'guestRam' : 'ordinary'
        if (kind === 'grow') {
          const [clean, free] = [
            scan.count(['clean'], scan.mayHave[use]),
            scan.count(['clean', 'dirty'], scan.mayHave[use]),
          ]
          const chosen = allocator.choose(count, { guestRam })
          assert.equal(allocator.freeFor({ guestRam }), free)
          if (chosen instanceof Refusal) {
            assert.equal(chosen, count > free ? ENOSPC : WAIT_FOR_ZEROING)
            assert.ok(count > clean)
            continue
          }
          assert.deepEqual(allocator.choose(count, { guestRam }), chosen, 'choosing reserves nothing')
          const got = chosen.flatMap(each)
          assert.equal(new Set(got).size, count)
          assert.equal(got.length, count)
          for (const at of got) assert.equal(scan.pool[at], 'clean')
          if (!guestRam) checkOrdinary(scan, got)
          else checkRam(scan, chosen, count)
          for (const extent of chosen) {
            allocator.own(extent, { guestRam })
            scan.set(extent, use)
          }
          files.push({ guestRam, extents: chosen })
        } else if (kind === 'shrink') {
          const [file] = files.splice(which % Math.max(files.length, 1), 1)
          for (const extent of file?.extents ?? []) {
            allocator.state(extent, 'dirty')
            allocator.disown(extent)
            scan.set(extent, 'dirty')
          }
        } else {
          const from = kind === 'zero' ? 'dirty' : 'clean'
          const candidates = [...scan.pool.keys()].filter((at) => scan.pool[at] === from)
          const start = candidates[which % Math.max(candidates.length, 1)]
          // Few bad blocks, or nothing would be left to choose from.
          if (start === undefined || (kind === 'spoil' && which % 4 > 0)) continue
          const to = kind === 'zero' ? 'clean' : 'bad'
          allocator.state({ start, count: 1 }, to)
          scan.set({ start, count: 1 }, to)
        }
        checkAgainst(scan, allocator)
      }
    }),
    { numRuns: 150 },
  )
})

const each = ({ start, count }: Extent) => Array.from({ length: count }, (_, at) => start + at)

/** One block after the other, each where the rule has it: the order within the choice is free. */
function checkOrdinary(scan: Scan, got: readonly number[]): void {
  const after = new Scan(scan.pool.length, scan.chunkBlocks)
  after.pool.splice(0, after.pool.length, ...scan.pool)
  const left = new Set(got)
  while (left.size > 0) {
    const places = after.placeForOne()
    const next = [...left].find((at) => places.has(at))
    assert.ok(next !== undefined, `${[...left]} taken, where only ${[...places]} were to be had`)
    left.delete(next)
    after.set({ start: next, count: 1 }, 'ordinary')
  }
}

/** In one piece whenever one is long enough, and then the lowest. */
function checkRam(scan: Scan, chosen: readonly Extent[], count: number): void {
  const mayBeHad = [...scan.pool.keys()].map(
    (at) => scan.pool[at] === 'clean' && scan.mayHave.guestRam(scan.chunkOf(at)),
  )
  const lowest = mayBeHad.findIndex((_, start) => {
    const run = mayBeHad.slice(start, start + count)
    return run.length === count && run.every(Boolean)
  })
  if (lowest >= 0) assert.deepEqual(chosen, [{ start: lowest, count }])
  for (const at of chosen.flatMap(each)) assert.ok(mayBeHad[at])
}

function checkAgainst(scan: Scan, allocator: Allocator): void {
  const counted = { total: scan.pool.length, owned: 0, clean: 0, dirty: 0, bad: 0 }
  for (const state of scan.pool) counted[state === 'ordinary' || state === 'guestRam' ? 'owned' : state]++
  assert.deepEqual(allocator.counts, counted)
  for (const at of scan.pool.keys()) {
    const chunk = scan.chunkOf(at)
    assert.ok(
      !(chunk.includes('ordinary') && chunk.includes('guestRam')),
      `block ${at} lies in a mixed chunk`,
    )
    const zone = allocator.inOneZone({ start: at, count: scan.pool.length - at })
    const kinds = new Set(each(zone).map((block) => scan.chunkOf(block).includes('ordinary')))
    assert.equal(kinds.size, 1, 'a zone is of data chunks or not')
    const inChunk = scan.chunkBlocks - (at % scan.chunkBlocks)
    assert.ok(!kinds.has(true) || zone.count <= inChunk, 'a data chunk is a zone of its own')
  }
  const open = [...scan.pool.keys()].filter((at) => {
    const chunk = scan.chunkOf(at)
    const isOpen = !chunk.includes('ordinary') && !chunk.includes('guestRam')
    return isOpen && (scan.pool[at] === 'clean' || scan.pool[at] === 'dirty')
  })
  const highest = open.at(-1)
  const next = allocator.nextDataChunk()
  assert.equal(next?.start, highest === undefined ? undefined : highest - (highest % scan.chunkBlocks))
}

test('data chunks grow from the top, guest RAM from the bottom, and a shorter last chunk is used as well', () => {
  const allocator = new Allocator(10, 4)
  const take = (count: number, use: typeof RAM): Extent[] => {
    const chosen = ok(allocator.choose(count, use))
    for (const extent of chosen) allocator.own(extent, use)
    return chosen
  }
  assert.deepEqual(take(1, ORDINARY), [{ start: 8, count: 1 }])
  assert.deepEqual(take(3, RAM), [{ start: 0, count: 3 }])
  assert.deepEqual(take(2, ORDINARY), [
    { start: 9, count: 1 },
    { start: 4, count: 1 },
  ])
  assert.equal(allocator.choose(2, RAM), ENOSPC)
  assert.equal(allocator.choose(4, ORDINARY), ENOSPC)
  assert.deepEqual(take(1, RAM), [{ start: 3, count: 1 }])
  assert.deepEqual(take(3, ORDINARY), [{ start: 5, count: 3 }])
  for (const use of [RAM, ORDINARY]) assert.equal(allocator.choose(1, use), ENOSPC)
  // A chunk that loses its last ordinary block is open again.
  allocator.disown({ start: 4, count: 3 })
  assert.equal(allocator.choose(1, RAM), ENOSPC)
  allocator.disown({ start: 7, count: 1 })
  assert.deepEqual(take(4, RAM), [{ start: 4, count: 4 }])
})

test('a request for many chunks takes them from the top', () => {
  const allocator = new Allocator(64, 4)
  assert.deepEqual(allocator.choose(9, ORDINARY), [
    { start: 52, count: 1 },
    { start: 56, count: 8 },
  ])
})

test('waiting is for the dirty blocks of the right zone', () => {
  const allocator = new Allocator(8, 4)
  allocator.own({ start: 4, count: 1 }, ORDINARY)
  allocator.state({ start: 5, count: 3 }, 'dirty')
  assert.equal(allocator.choose(5, RAM), ENOSPC)
  allocator.own({ start: 0, count: 2 }, RAM)
  assert.equal(allocator.choose(3, ORDINARY), WAIT_FOR_ZEROING)
  assert.equal(allocator.choose(4, ORDINARY), ENOSPC)
  assert.equal(allocator.choose(3, RAM), ENOSPC)
  assert.deepEqual(allocator.choose(2, RAM), [{ start: 2, count: 2 }])
})

test('a state in which the kinds share a chunk is refused, and found by verify', () => {
  const allocator = new Allocator(8, 4)
  allocator.own({ start: 1, count: 1 }, RAM)
  assert.throws(() => allocator.own({ start: 3, count: 1 }, ORDINARY), BrokenInvariantError)

  const { fs, journal, rq, file } = fixture()
  file('ram', blocks(3))
  assert.deepEqual(journal.state.verify(16, 4), [])
  ok(fs.write(rq(), file('ordinary'), 0, Buffer.alloc(5)))
  assert.match(journal.state.verify(16, 4).join(), /share chunk 0/)
  assert.deepEqual(journal.state.verify(16), [])
})

test('a file that turns from guest RAM into an ordinary one changes its zone, also over a restart', () => {
  const { fs, store, journal, rq, file, stat } = fixture({ totalBlocks: 12, chunkBlocks: 4 })
  const ino = file('f', blocks(5))
  assert.deepEqual(stat(ino).extents, [{ start: 0, count: 5 }])
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 0 }))
  ok(fs.write(rq(), ino, 0, Buffer.alloc(5)))
  ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(5) }))
  assert.deepEqual(stat(ino).extents, [
    { start: 8, count: 4 },
    { start: 4, count: 1 },
  ])
  const next = fixtureOver(journal.replay(), store)
  next.fs.recover(next.rq())
  checkInvariants(next.fs, next.journal, 4)
  const ram = next.file('ram')
  assert.equal(next.fs.setAttributes(next.rq(), ram, { sizeBytes: blocks(5) }), ENOSPC)
  ok(next.fs.setAttributes(next.rq(), ram, { sizeBytes: blocks(4) }))
  assert.equal(next.fs.statfs().freeBlocks, 3)
  const geometry = JSON.parse(
    Buffer.from(ok(next.fs.getXattr(1 as never, 'guestmemfs.geometry' as never))).toString(),
  )
  assert.deepEqual([geometry.freeForGuestRamBlocks, geometry.freeForOrdinaryBlocks], [0, 3])
  checkInvariants(next.fs, next.journal, 4)
})

test('in a pool of a million blocks each kind keeps to its end', () => {
  const allocator = new Allocator(1 << 20, 32)
  const extents: Extent[] = []
  for (let files = 0; files < 2000; files++) {
    const use = files % 2 === 0 ? RAM : ORDINARY
    for (const extent of ok(allocator.choose(7, use))) {
      allocator.own(extent, use)
      extents.push(extent)
    }
  }
  assert.equal(countBlocks(extents), 14_000)
  assert.equal(allocator.counts.clean, (1 << 20) - 14_000)
  assert.deepEqual(allocator.choose(900_000, RAM), [{ start: 7000, count: 900_000 }])
})
