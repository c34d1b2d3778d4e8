import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BLOCK_BYTES } from '../../stores/store.ts'
import type { Errno } from '../../values/errno.ts'
import { EBUSY, EINVAL, ENODATA, ENOSPC, EOPNOTSUPP, EPERM } from '../../values/errno.ts'
import { type Ino, ROOT_INO } from '../../values/ids.ts'
import type { Refusal } from '../../values/refusal.ts'
import { State } from '../state/state.ts'
import { blocks, type Fixture, fixture, fixtureOver, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { SIZE } from '../xattrs/control-xattrs.ts'

const setSize = ({ fs, rq }: Fixture, totalBlocks: number): Refusal | undefined =>
  fs.setXattr(rq(), ROOT_INO, SIZE, Buffer.from(String(totalBlocks * BLOCK_BYTES)), 0)

function sizes({ fs }: Fixture): unknown {
  const value = fs.getXattr(ROOT_INO, n('guestmemfs.size'))
  return value instanceof Uint8Array ? JSON.parse(Buffer.from(value).toString()) : value
}

const grow = ({ fs, rq }: Fixture, ino: Ino, count: number) =>
  fs.setAttributes(rq(), ino, { sizeBytes: blocks(count) })

/** As a server after this one finds it. */
function reopened(fx: Fixture): Fixture {
  const next = fixtureOver(fx.journal.replay(), fx.store)
  next.fs.recover({ origin: { unique: 0n, epoch: 1 } })
  assert.deepEqual(next.journal.state.verify(next.journal.identity.totalBlocks), [])
  return next as Fixture
}

test('a pool grows, and a file has the room at once', () => {
  const fx = fixture({ totalBlocks: 4 })
  const file = fx.file('file', blocks(4))
  assert.equal(grow(fx, file, 5), ENOSPC)
  assert.equal(setSize(fx, 6), undefined)
  assert.deepEqual([fx.fs.statfs().totalBlocks, fx.fs.statfs().freeBlocks], [6, 2])
  ok(grow(fx, file, 6))
  assert.equal(grow(fx, file, 7), ENOSPC)
  const next = reopened(fx)
  assert.deepEqual([next.fs.statfs().totalBlocks, next.fs.statfs().freeBlocks], [6, 0])
  assert.equal(Buffer.from(next.fs.getXattr(ROOT_INO, SIZE) as Uint8Array).toString(), String(blocks(6)))
})

test('it shrinks to what is in use, however scattered, and no further', () => {
  const fx = fixture({ totalBlocks: 12 })
  const files = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => fx.file(name, blocks(2)))
  for (const name of ['a', 'c', 'e']) ok(fx.fs.unlink(fx.rq(), nameAt(ROOT, name)) ?? 0)
  for (const index of [0, 2, 4]) ok(fx.fs.evict(fx.rq(), files[index] as Ino))
  assert.deepEqual(fx.stat(files[5] as Ino).extents, [{ start: 10, count: 2 }])
  assert.deepEqual(sizes(fx), { totalBytes: blocks(12), leastBytes: blocks(6) })
  assert.equal(setSize(fx, 5), EBUSY)
  assert.equal(fx.fs.statfs().totalBlocks, 12)
  assert.equal(setSize(fx, 6), undefined)
  assert.deepEqual([fx.fs.statfs().totalBlocks, fx.fs.statfs().freeBlocks], [6, 0])
  const next = reopened(fx)
  assert.equal(next.fs.statfs().totalBlocks, 6)
  const later = ok(next.fs.create(next.rq(), nameAt(ROOT, 'later'), 0o600)).ino
  assert.equal(grow(next, later, 1), ENOSPC)
  assert.equal(setSize(next, 7), undefined)
  ok(grow(next, later, 1))
})

test('a step that a crash leaves alone is a whole pool, of the former size', () => {
  const fx = fixture({ totalBlocks: 400 })
  const files = Array.from({ length: 200 }, (_, index) => fx.file(`file ${index}`, blocks(1)))
  for (let index = 0; index < 100; index++) {
    ok(fx.fs.unlink(fx.rq(), nameAt(ROOT, `file ${index}`)) ?? 0)
    ok(fx.fs.evict(fx.rq(), files[index] as Ino))
  }
  const before = fx.journal.records.length
  assert.equal(setSize(fx, 100), undefined)
  const after = fx.journal.records.length
  assert.ok(after - before > 2, 'more than one record moves files')
  for (let count = before; count < after; count++) {
    const found = fx.journal.replay(count)
    assert.deepEqual(found.state.verify(400), [], `after ${count} records`)
    const next = fixtureOver(found, fx.store.clone()) as Fixture
    assert.equal(next.fs.statfs().totalBlocks, 400)
    assert.notEqual(found.lastOrigin?.unique, fx.journal.lastOrigin?.unique, 'it is not said to be done')
    assert.equal(setSize(next, 100), undefined)
  }
})

test('refused: sizes that are none, memory that has a place, an image of version 1, a frozen pool', () => {
  const answers = (fx: Fixture, ...sizes: number[]): (Refusal | undefined)[] =>
    sizes.map((size) => setSize(fx, size))
  assert.deepEqual(answers(fixture({ totalBlocks: 4 }), 0, 0.5, 2 ** 24 + 1), [EINVAL, EINVAL, EINVAL])
  const carved = fixture({ clearing: 'ours', totalBlocks: 4 })
  assert.deepEqual(answers(carved, 4, 8), [EOPNOTSUPP, EOPNOTSUPP])
  assert.equal(sizes(carved), ENODATA)

  const old = fixture({ totalBlocks: 4 })
  old.journal.version = 1
  assert.deepEqual(answers(old, 4, 8), [undefined, EPERM])
  assert.equal(old.journal.records.length, 0)

  const frozen = fixture({ totalBlocks: 4 })
  ok(frozen.fs.freeze(frozen.rq()) ?? 0)
  assert.deepEqual(answers(frozen, 8), [EBUSY])

  const full = fixture({ totalBlocks: 4 })
  full.journal.limit = 0
  assert.deepEqual(answers(full, 8), [ENOSPC])
  assert.equal(full.fs.statfs().totalBlocks, 4)
})

test('whatever is done to files and size, the counts are those of a server that begins anew', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('size' as const), to: fc.integer({ min: 1, max: 24 }) }),
    fc.record({
      kind: fc.constant('file' as const),
      name: fc.integer({ min: 0, max: 5 }),
      to: fc.integer({ min: 0, max: 6 }),
    }),
    fc.record({ kind: fc.constant('gone' as const), name: fc.integer({ min: 0, max: 5 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const fx = fixture({ totalBlocks: 12 })
      const inos = new Map<number, Ino>()
      for (const each of steps) {
        const used = [...inos.values()].reduce((sum, ino) => sum + fx.stat(ino).sizeBytes / BLOCK_BYTES, 0)
        if (each.kind === 'size') {
          const answer: Refusal | Errno | undefined = setSize(fx, each.to)
          assert.equal(answer, each.to < used ? EBUSY : undefined)
        } else if (each.kind === 'gone') {
          const ino = inos.get(each.name)
          if (ino === undefined) continue
          ok(fx.fs.unlink(fx.rq(), nameAt(ROOT, `f${each.name}`)) ?? 0)
          ok(fx.fs.evict(fx.rq(), ino))
          inos.delete(each.name)
        } else {
          const ino = inos.get(each.name) ?? fx.file(`f${each.name}`)
          inos.set(each.name, ino)
          const more = each.to - fx.stat(ino).sizeBytes / BLOCK_BYTES
          const fits = used + more <= fx.fs.statfs().totalBlocks
          const answer = grow(fx, ino, each.to)
          if (fits) ok(answer)
          else assert.equal(answer, ENOSPC)
        }
        assert.deepEqual(fx.journal.state.verify(12), [])
      }
      assert.deepEqual(reopened(fx).fs.statfs(), fx.fs.statfs())
      // A checkpoint says it as well.
      const copy = new State()
      for (const entry of [...fx.journal.state.entries()]) copy.apply(entry)
      assert.deepEqual(copy.verify(12), [])
    }),
    { numRuns: 200 },
  )
})
