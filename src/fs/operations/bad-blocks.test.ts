import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EBUSY, ENOSPC, Errno } from '../../values/errno.ts'
import { byteString, type Ino } from '../../values/ids.ts'
import { randomFrom, testSeed } from '../image/testing/random.ts'
import { State } from '../state/state.ts'
import {
  blocks,
  checkInvariants,
  type Fixture,
  fixture,
  fixtureOver,
  n,
  nameAt,
  ok,
  ROOT,
} from '../testing/fixture.ts'
import { MemoryStore } from '../testing/memory-store.ts'
import { PlainJournal } from '../testing/plain-journal.ts'
import { isForRootAlone } from '../xattrs/virtual-xattrs.ts'
import { badPieces } from './bad-blocks.ts'

const OWN = { origin: { unique: 0n, epoch: 1 } }

const report = ({ fs }: Fixture, name: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(ok(fs.getXattr(ROOT, n(`guestmemfs.${name}`)))).toString())

/** Takes every free block, one file each. Returns which blocks those were. */
function takeAll({ fs, rq, file, stat }: Fixture): number[] {
  const taken: number[] = []
  for (let number = 0; ; number++) {
    const ino = file(`taken ${number}`)
    const grown = fs.setAttributes(rq(), ino, { sizeBytes: blocks(1) })
    if (grown === ENOSPC) return taken.toSorted((one, other) => one - other)
    ok(grown)
    taken.push(...stat(ino).extents.map(({ start }) => start))
  }
}

for (const clearing of ['kernel', 'ours'] as const)
  test(`a free block that fails goes to no file, also after a restart, clearing: ${clearing}`, () => {
    const fx = fixture({ clearing, totalBlocks: 6 })
    const failed = [
      { start: 1, count: 2 },
      { start: 5, count: 1 },
    ]
    assert.deepEqual(fx.fs.markBad(OWN, failed), failed)
    checkInvariants(fx.fs, fx.journal)
    assert.deepEqual([report(fx, 'health').badBlocks, report(fx, 'health').badBlocksInFiles], [3, undefined])
    const next = fixtureOver(fx.journal.replay(), fx.store.clone())
    for (const each of [fx, next]) {
      assert.equal(each.fs.statfs().freeBlocks, 3)
      assert.deepEqual(takeAll(each), [0, 3, 4])
    }
  })

test('a block that fails under a file stays the file’s, and is bad when the file loses it', () => {
  const fx = fixture({ clearing: 'ours', totalBlocks: 8, chunkBlocks: 4 })
  const { fs, rq, file, stat, journal } = fx
  const ino = file('ram', blocks(3))
  assert.deepEqual(stat(ino).extents, [{ start: 0, count: 3 }])
  assert.deepEqual(ok(fs.markBad(OWN, [{ start: 1, count: 1 }]) as readonly object[]), [
    { start: 1, count: 1 },
  ])
  checkInvariants(fs, journal, 4)
  const expected = { poolOffsetBytes: blocks(1), lengthBytes: blocks(1), ino, fileOffsetBytes: blocks(1) }
  assert.deepEqual(report(fx, 'bad'), [{ ...expected, file: 'ram' }])
  assert.deepEqual([report(fx, 'health').badBlocks, report(fx, 'health').badBlocksInFiles], [0, 1])
  ok(fs.unlink(rq(), nameAt(ROOT, 'ram')) ?? true)
  assert.deepEqual(report(fx, 'bad'), [expected], 'an orphan has no path')
  assert.equal(fs.evict(OWN, ino), 'gone')
  checkInvariants(fs, journal, 4)
  assert.deepEqual(report(fx, 'bad'), [{ poolOffsetBytes: blocks(1), lengthBytes: blocks(1) }])
  const dirty = []
  for (let extent = fs.dirtyExtent(9); extent !== undefined; extent = fs.dirtyExtent(9)) {
    dirty.push(extent)
    assert.equal(fs.markClean(OWN, extent), undefined)
  }
  assert.deepEqual(dirty, [
    { start: 0, count: 1 },
    { start: 2, count: 1 },
  ])
})

test('a block that fails while it is zeroed is not called clean; those beside it are', () => {
  const state = State.fresh({ seconds: 0, nanoseconds: 0 }, { dirtyBlocks: 6 })
  const store = new MemoryStore({ clearing: 'ours', totalBlocks: 6 })
  const { fs, journal } = fixtureOver(new PlainJournal(6, state), store)
  const extent = fs.dirtyExtent(6)
  assert.deepEqual(extent, { start: 0, count: 6 })
  ok(fs.markBad(OWN, [{ start: 2, count: 2 }]) as readonly object[])
  assert.equal(fs.markClean(OWN, { start: 0, count: 6 }), undefined)
  assert.deepEqual(journal.state.blockStates.runs, [{ start: 2, count: 2, state: 'bad' }])
  assert.equal(fs.markClean(OWN, { start: 2, count: 2 }), undefined)
  assert.equal(journal.records.length, 2)
})

test('it is recorded once, while the pool is frozen as well, and later where the image has no room now', () => {
  const fx = fixture({ clearing: 'ours', totalBlocks: 4 })
  const { fs, rq, journal } = fx
  assert.equal(fs.freeze(rq()), undefined)
  assert.equal(fs.setAttributes(rq(), ROOT, { mode: 0o700 }), EBUSY)
  const failed = [{ start: 3, count: 1 }]
  journal.limit = journal.records.length
  assert.equal(fs.markBad(OWN, failed), ENOSPC)
  assert.equal(journal.state.blockStates.badBlocks, 0)
  journal.limit = Number.POSITIVE_INFINITY
  assert.deepEqual(fs.markBad(OWN, failed), failed)
  const { length } = journal.records
  assert.deepEqual(fs.markBad(OWN, failed), [])
  assert.equal(journal.records.length, length)
  assert.throws(() => fs.markBad(OWN, [{ start: 4, count: 1 }]), /blocks 4\+1 failed in a pool of 4/)
})

test('a pool that is all bad is full, and says so', () => {
  const fx = fixture({ clearing: 'ours', totalBlocks: 4 })
  ok(fx.fs.markBad(OWN, [{ start: 0, count: 4 }]) as readonly object[])
  assert.equal(fx.fs.statfs().freeBlocks, 0)
  assert.deepEqual(takeAll(fx), [])
  assert.equal(fx.fs.write(fx.rq(), fx.file('ordinary'), 0, Buffer.from('x')), ENOSPC)
  assert.deepEqual(report(fx, 'bad'), [{ poolOffsetBytes: 0, lengthBytes: blocks(4) }])
})

const seed = testSeed()
test(`the list of bad blocks is what block by block shows (seed ${seed})`, () => {
  const random = randomFrom(seed)
  for (let round = 0; round < 200; round++) {
    const totalBlocks = 24
    const fx = fixture({ clearing: 'ours', totalBlocks })
    for (let file = 0; file < 5; file++) {
      const ino = fx.file(`file ${file}`)
      fx.fs.setAttributes(fx.rq(), ino, { sizeBytes: blocks(random.below(7)) })
      const bad = { start: random.below(totalBlocks), count: 1 }
      assert.ok(!(fx.fs.markBad(OWN, [bad]) instanceof Errno))
      if (file === 2) fx.fs.unlink(fx.rq(), nameAt(ROOT, 'file 0'))
      if (file === 3) fx.fs.retryOrphans(OWN, () => false)
    }
    assert.deepEqual([...badPieces(fx.journal.state)].flatMap(oneByOne), bruteForce(fx, totalBlocks))
    assert.equal(fx.journal.state.blockStates.badBlocks, bruteForce(fx, totalBlocks).length)
  }
})

interface BadBlock {
  readonly block: number
  readonly ino: Ino | undefined
  readonly fileBlock: number
}

function oneByOne({ start, count, of }: ReturnType<typeof badPieces> extends Iterator<infer P> ? P : never) {
  return Array.from(
    { length: count },
    (_, at): BadBlock => ({ block: start + at, ino: of?.ino, fileBlock: of ? of.fileBlock + at : -1 }),
  )
}

function bruteForce({ journal: { state } }: Fixture, totalBlocks: number): BadBlock[] {
  const found: BadBlock[] = []
  for (let block = 0; block < totalBlocks; block++) {
    if (state.blockStates.firstIn({ start: block, count: 1 }, 'bad') === undefined) continue
    let bad: BadBlock = { block, ino: undefined, fileBlock: -1 }
    for (const { ino, extents } of state.inodes.values()) {
      const own = extents.flatMap(({ start, count }) => Array.from({ length: count }, (_, at) => start + at))
      if (own.includes(block)) bad = { block, ino, fileBlock: own.indexOf(block) }
    }
    found.push(bad)
  }
  return found
}

test('the list is for root alone, and in pages', () => {
  const fx = fixture({ clearing: 'ours', totalBlocks: 4 })
  const get = (name: string) => fx.fs.getXattr(ROOT, byteString(name))
  assert.equal(Buffer.from(ok(get('guestmemfs.bad.0'))).toString(), '[]')
  assert.ok(get('guestmemfs.bad.1') instanceof Errno)
  assert.ok(isForRootAlone(ROOT, n('guestmemfs.bad')) && isForRootAlone(ROOT, n('guestmemfs.bad.1')))
})
