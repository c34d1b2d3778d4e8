/**
 * Pages of two sizes in one pool: gigantic files have whole frames, and everything else breaks as few as it
 * can.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Extent } from '../../stores/store.ts'
import { EBUSY, EINVAL, ENOSPC, EOPNOTSUPP } from '../../values/errno.ts'
import { ROOT_INO } from '../../values/ids.ts'
import { Refusal, WAIT_FOR_ZEROING } from '../../values/refusal.ts'
import { blocks, checkInvariants, fixture, fixtureOver, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { ALIGN } from './alignment.ts'
import { Allocator } from './allocator.ts'
import { countBlocks } from './extents.ts'

const GRID = { blocks: 8, first: 3 }
const RAM = { guestRam: true }
const FRAMES = { guestRam: true, inFrames: true }
const ORDINARY = { guestRam: false }
const inOneRun = (after?: number) => ({ guestRam: true, contiguous: { after } })

function take(allocator: Allocator, count: number, use = RAM): readonly Extent[] {
  const chosen = ok(allocator.choose(count, use))
  for (const extent of chosen) allocator.own(extent, use)
  return chosen
}

test('frames are aligned, whole, and lowest first; neighbours are one extent', () => {
  const allocator = new Allocator(40, 4, GRID)
  assert.equal(allocator.wholeFrames, 4)
  assert.deepEqual(take(allocator, 16, FRAMES), [{ start: 3, count: 16 }])
  assert.equal(allocator.choose(12, FRAMES), ENOSPC, 'a part of a frame is none')
  assert.equal(allocator.choose(24, FRAMES), ENOSPC)
  assert.deepEqual(take(allocator, 8, FRAMES), [{ start: 19, count: 8 }])
})

test('small guest RAM takes what lies outside of frames, then one frame, and no second before that is full', () => {
  const allocator = new Allocator(40, 4, GRID)
  assert.deepEqual(take(allocator, 2), [{ start: 0, count: 2 }])
  assert.equal(allocator.wholeFrames, 4)
  // Six are outside of frames by now, and with them one frame is enough.
  take(allocator, 12)
  assert.equal(allocator.wholeFrames, 3)
  take(allocator, 2)
  assert.equal(allocator.wholeFrames, 3, 'the broken frame has room')
  take(allocator, 1)
  assert.equal(allocator.wholeFrames, 2)
})

test('what needs as many frames either way comes in one piece', () => {
  const allocator = new Allocator(37, 4, GRID)
  assert.equal(take(allocator, 16).length, 1)
})

test('ordinary files open their data chunks outside of whole frames, wherever that is', () => {
  const allocator = new Allocator(44, 4, { blocks: 8, first: 4 })
  take(allocator, 5)
  take(allocator, 16, FRAMES)
  assert.equal(allocator.wholeFrames, 2)
  const [chunk] = take(allocator, 1, ORDINARY)
  assert.deepEqual(chunk, { start: 8, count: 1 })
  assert.deepEqual(allocator.nextDataChunk(), { start: 40, count: 4 }, 'only whole frames are left')
})

test('no frame is broken because what lies outside is not zeroed yet, and that is zeroed first', () => {
  const allocator = new Allocator(40, 4, GRID)
  allocator.state({ start: 0, count: 40 }, 'dirty')
  assert.deepEqual(allocator.dirtyOutsideFrames(0), { start: 0, count: 3 })
  assert.deepEqual(allocator.dirtyOutsideFrames(3), { start: 35, count: 5 })
  assert.equal(allocator.dirtyOutsideFrames(40), undefined)
  allocator.state({ start: 3, count: 8 }, 'clean')
  assert.equal(allocator.choose(4, RAM), WAIT_FOR_ZEROING, 'a frame is clean, and not wanted')
  assert.equal(countBlocks(ok(allocator.choose(8, FRAMES))), 8)
  allocator.state({ start: 35, count: 5 }, 'clean')
  assert.deepEqual(allocator.choose(4, RAM), [{ start: 35, count: 4 }])
})

test('frames that hold dirty blocks can be had once they are zeroed; bad blocks break one for good', () => {
  const allocator = new Allocator(40, 4, GRID)
  for (let start = 3; start < 35; start += 8) allocator.state({ start, count: 1 }, 'dirty')
  assert.equal(allocator.choose(8, FRAMES), WAIT_FOR_ZEROING)
  allocator.state({ start: 11, count: 1 }, 'clean')
  assert.deepEqual(allocator.choose(8, FRAMES), [{ start: 11, count: 8 }])
  allocator.state({ start: 12, count: 1 }, 'bad')
  assert.equal(allocator.choose(8, FRAMES), WAIT_FOR_ZEROING)
  assert.equal(allocator.wholeFrames, 3)
})

test('one piece: the lowest that is long enough, or what follows the file; never two', () => {
  const allocator = new Allocator(32, 4)
  allocator.own({ start: 4, count: 4 }, RAM)
  assert.deepEqual(allocator.choose(4, inOneRun()), [{ start: 0, count: 4 }])
  assert.deepEqual(allocator.choose(5, inOneRun()), [{ start: 8, count: 5 }])
  assert.equal(allocator.choose(25, inOneRun()), ENOSPC, 'there are as many, but not in a row')
  assert.deepEqual(allocator.choose(2, inOneRun(8)), [{ start: 8, count: 2 }])
  assert.equal(allocator.choose(1, inOneRun(4)), ENOSPC)
  allocator.state({ start: 9, count: 1 }, 'dirty')
  assert.equal(allocator.choose(2, inOneRun(8)), WAIT_FOR_ZEROING)
  assert.equal(allocator.choose(24, inOneRun()), WAIT_FOR_ZEROING)
  allocator.own({ start: 30, count: 1 }, ORDINARY)
  assert.equal(allocator.choose(24, inOneRun()), ENOSPC, 'guest RAM has no block of a data chunk')
  assert.equal(allocator.choose(1, inOneRun(31)), ENOSPC)
})

test('whatever comes and goes, all that is asked for in one size leaves frames whole for the other', () => {
  const step = fc.record({
    kind: fc.constantFrom('small', 'frame', 'ordinary', 'free' as const),
    count: fc.integer({ min: 1, max: 10 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const allocator = new Allocator(100, 4, GRID)
      const owned: { extents: readonly Extent[]; use: typeof RAM }[] = []
      for (const { kind, count } of steps) {
        if (kind === 'free') {
          const gone = owned.splice(count % Math.max(owned.length, 1), 1)
          for (const { extents } of gone) for (const extent of extents) allocator.disown(extent)
          continue
        }
        const before = allocator.wholeFrames
        const use = kind === 'frame' ? FRAMES : kind === 'small' ? RAM : ORDINARY
        const wanted = kind === 'frame' ? 8 * ((count % 3) + 1) : count
        const free = allocator.freeFor(use)
        const chosen = allocator.choose(wanted, use)
        if (chosen instanceof Refusal) {
          assert.ok(kind === 'frame' ? wanted / 8 > before : wanted > free)
          continue
        }
        assert.equal(countBlocks(chosen), wanted)
        for (const extent of chosen) allocator.own(extent, use)
        owned.push({ extents: chosen, use })
        const broken = before - allocator.wholeFrames
        if (kind === 'frame') assert.equal(broken, wanted / 8)
        // Never more than it would take if nothing had been free outside of whole frames.
        if (kind === 'small') assert.ok(broken <= Math.ceil(wanted / 8), `${wanted} blocks broke ${broken}`)
      }
    }),
  )
})

const giganticPool = () => fixture({ clearing: 'ours', totalBlocks: 43, chunkBlocks: 4, frames: GRID })
const say = (text: string) => Buffer.from(text)

test('a directory says what pages its files get, the nearest one counts, and a file keeps what it was made with', () => {
  const { fs, rq, journal, stat } = giganticPool()
  const big = ok(fs.mkdir(rq(), nameAt(ROOT, 'big'), 0o755)).ino
  const below = ok(fs.mkdir(rq(), nameAt(big, 'below'), 0o755)).ino
  const small = ok(fs.mkdir(rq(), nameAt(below, 'small'), 0o755)).ino
  assert.equal(fs.setXattr(rq(), big, ALIGN, say(String(blocks(8))), 0), undefined)
  assert.equal(fs.setXattr(rq(), small, ALIGN, say('2M\n'), 0), undefined)
  const make = (parent: typeof big, size: number) => {
    const { ino } = ok(fs.create(rq(), nameAt(parent, `file-${size}`), 0o600))
    const made = fs.setAttributes(rq(), ino, { sizeBytes: size })
    return made instanceof Refusal ? made : stat(ino)
  }
  const gigantic = make(below, blocks(8))
  assert.ok(!(gigantic instanceof Refusal) && gigantic.gigantic)
  assert.deepEqual(gigantic.extents, [{ start: 3, count: 8 }])
  assert.equal(make(big, blocks(3)), EINVAL)
  const plain = make(small, blocks(2))
  assert.ok(!(plain instanceof Refusal) && !plain.gigantic)

  assert.equal(fs.setXattr(rq(), big, ALIGN, say('2097152'), 0), undefined)
  assert.equal(fs.setAttributes(rq(), gigantic.ino, { sizeBytes: blocks(9) }), EINVAL, 'it stays what it is')
  assert.equal(ok(fs.setAttributes(rq(), gigantic.ino, { sizeBytes: blocks(16) })).gigantic, true)
  const shown = JSON.parse(Buffer.from(ok(fs.getXattr(gigantic.ino, n('guestmemfs.map')))).toString())
  assert.equal(shown.alignBytes, blocks(8))
  assert.equal(ok(fs.setAttributes(rq(), gigantic.ino, { sizeBytes: 0 })).gigantic, false)
  checkInvariants(fs, journal, 4)
})

test('what cannot be: no size of pages, a pool that has none, a file; and a frozen pool', () => {
  const { fs, rq, file } = giganticPool()
  assert.equal(fs.setXattr(rq(), ROOT_INO, ALIGN, say('3M'), 0), EINVAL)
  assert.equal(fs.setXattr(rq(), ROOT_INO, ALIGN, say('much'), 0), EINVAL)
  assert.equal(fs.setXattr(rq(), file('a'), ALIGN, say('2M'), 0), EINVAL)
  ok(fs.freeze(rq()) ?? 0)
  assert.equal(fs.setXattr(rq(), ROOT_INO, ALIGN, say('2M'), 0), EBUSY)
  const plain = fixture()
  assert.equal(plain.fs.setXattr(plain.rq(), ROOT_INO, ALIGN, say('1G'), 0), EOPNOTSUPP)
})

test('guest RAM in one piece grows where it lies, or not at all', () => {
  const { fs, store, journal, rq, file, stat } = fixture({
    clearing: 'ours',
    totalBlocks: 16,
    chunkBlocks: 4,
    contiguous: true,
  })
  const a = file('a', blocks(3))
  assert.equal(ok(fs.setAttributes(rq(), a, { sizeBytes: blocks(4) })).extents.length, 1)
  const b = file('b', blocks(2))
  assert.deepEqual(stat(b).extents, [{ start: 4, count: 2 }])
  assert.equal(fs.setAttributes(rq(), a, { sizeBytes: blocks(5) }), ENOSPC)
  assert.equal(stat(a).sizeBytes, blocks(4))
  const again = fixtureOver(journal, store)
  again.fs.recover(again.rq())
  checkInvariants(again.fs, journal, 4)
})
