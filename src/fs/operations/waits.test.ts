/**
 * A store that answers a Wait now and then, at any call: such a call has changed nothing, and when it is
 * repeated it has the result that it would have had at once. Beside it, the same steps over a store that
 * never waits.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BLOCK_BYTES, type Placement } from '../../stores/store.ts'
import { EBUSY, EOPNOTSUPP } from '../../values/errno.ts'
import type { Ino, ObjectId } from '../../values/ids.ts'
import { Refusal, WAIT_FOR_STORE, type Wait } from '../../values/refusal.ts'
import { blocks, checkInvariants, type Fixture, fixture, fixtureOver, ok } from '../testing/fixture.ts'
import { MemoryStore, type MemoryStoreOptions, NODES } from '../testing/memory-store.ts'
import { PlainJournal } from '../testing/plain-journal.ts'

const TOTAL_BLOCKS = 12
/** What the store keeps of each block: steps write there and nowhere else. */
const MODEL_BYTES = 4096

class WaitingStore extends MemoryStore {
  /** What the next calls do, one after the other; behind the last, none waits. */
  waits: boolean[] = []

  #or<T>(answer: () => T): T | Wait {
    return this.waits.shift() ? WAIT_FOR_STORE : answer()
  }
  override resize(object: ObjectId, to: Placement): Refusal | undefined {
    return this.#or(() => super.resize(object, to))
  }
  override isHeld(object: ObjectId): boolean | Wait {
    return this.#or(() => super.isHeld(object))
  }
  override read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal {
    return this.#or(() => super.read(object, offset, into))
  }
  override write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal {
    return this.#or(() => super.write(object, offset, from))
  }
  override punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined {
    return this.#or(() => super.punchHole(object, offset, length))
  }
}

const step = fc.record({
  kind: fc.constantFrom('truncate', 'write', 'write', 'append', 'punch', 'read', 'unlink', 'restart'),
  file: fc.nat(2),
  offset: fc.oneof(fc.nat(3000), fc.constantFrom(0, BLOCK_BYTES, 3 * BLOCK_BYTES + 9)),
  length: fc.integer({ min: 1, max: 800 }),
  waits: fc.array(fc.boolean(), { maxLength: 7 }),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** One file system with three files. */
class Side<S extends MemoryStore> {
  readonly store: S
  fx: Fixture
  readonly inos: Ino[]

  constructor(store: S) {
    this.store = store
    this.fx = fixtureOver(new PlainJournal(TOTAL_BLOCKS), store)
    this.inos = ['a', 'b', 'c'].map((name) => this.fx.file(name))
  }

  /** What the operation answers, when it is asked with the same request again. */
  operation({ kind, file, offset, length }: Step): () => unknown {
    const { fs, rq } = this.fx
    const ino = this.inos[file] as Ino
    const end = fs.inode(ino)?.sizeBytes ?? 0
    const request = rq()
    const bytes = Buffer.alloc(length, length)
    switch (kind) {
      case 'truncate':
        return () => {
          const found = fs.setAttributes(request, ino, { sizeBytes: offset })
          return found instanceof Refusal ? found : undefined
        }
      case 'write':
        return () => fs.write(request, ino, offset, bytes)
      case 'append':
        return () => fs.write(request, ino, end, bytes)
      case 'punch':
        return () => fs.fallocate(request, ino, 3, offset, length)
      case 'read':
        return () => {
          const found = fs.read(ino, offset, bytes)
          return found instanceof Refusal ? found : bytes.toString('latin1')
        }
      case 'unlink':
        return () => {
          const name = ['a', 'b', 'c'][file] as string
          fs.unlink(request, { parent: 1 as Ino, name: name as never })
          // An object that may be held is tried again later.
          if (fs.evict(request, ino) !== 'gone') return WAIT_FOR_STORE
          this.inos[file] = this.fx.file(name)
          return 'gone'
        }
      default:
        return () => {
          this.fx = fixtureOver(this.fx.journal.replay(), this.store)
          this.fx.fs.recover(this.fx.rq(), () => true)
        }
    }
  }

  zeroAll(): void {
    const { fs, store, rq } = this.fx
    for (let dirty = fs.dirtyExtent(99); dirty; dirty = fs.dirtyExtent(99)) {
      store.zero(dirty)
      assert.equal(fs.markClean(rq(), dirty), undefined)
    }
  }

  /** What a caller sees: times apart, which depend on how many requests there were. */
  shown(): unknown {
    const { fs } = this.fx
    return this.inos.map((ino) => {
      const { sizeBytes, guestRam, extents } = fs.inode(ino) ?? assert.fail(`inode ${ino} is gone`)
      const bytes: string[] = []
      for (let offset = 0; offset < sizeBytes && !guestRam; offset += BLOCK_BYTES) {
        const piece = Buffer.alloc(Math.min(MODEL_BYTES, sizeBytes - offset))
        assert.equal(fs.read(ino, offset, piece), piece.length)
        bytes.push(piece.toString('latin1'))
      }
      return { sizeBytes, guestRam, extents, bytes }
    })
  }
}

const KINDS: readonly Omit<MemoryStoreOptions, 'totalBlocks'>[] = [
  { clearing: 'ours', chunkBlocks: 3 },
  { clearing: 'kernel' },
]
const MANY = 40

for (const kind of KINDS)
  test(`what waits has changed nothing, and succeeds when it is asked again, clearing: ${kind.clearing}`, () => {
    let waited = 0
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25, size: 'max' }), (steps) => {
        const options = { ...kind, totalBlocks: TOTAL_BLOCKS, modelBytes: MODEL_BYTES }
        const [plain, waiting] = [new Side(new MemoryStore(options)), new Side(new WaitingStore(options))]
        for (const one of steps) {
          const expected = plain.operation(one)()
          const ask = waiting.operation(one)
          const before = waiting.inos.map((ino) => waiting.fx.fs.inode(ino))
          waiting.store.waits = [...one.waits]
          let found = ask()
          for (let tries = 0; found === WAIT_FOR_STORE; tries++, found = ask()) {
            waited++
            assert.ok(tries < MANY, `${one.kind} waits for ever`)
            if (one.kind !== 'unlink')
              assert.deepEqual(
                waiting.inos.map((ino) => waiting.fx.fs.inode(ino)),
                before,
              )
            checkInvariants(waiting.fx.fs, waiting.fx.journal, kind.chunkBlocks)
          }
          assert.equal(found, expected)
          waiting.store.waits = []
          for (const side of [plain, waiting]) side.zeroAll()
          assert.deepEqual(waiting.shown(), plain.shown())
          checkInvariants(waiting.fx.fs, waiting.fx.journal, kind.chunkBlocks)
        }
      }),
      { numRuns: 120 },
    )
    assert.ok(waited > 0, 'something waited')
  })

test('a write that has to wait after its claim undoes the claim, and leaves the object grown', () => {
  const { fs, store, journal, rq, file, stat } = fixture({ clearing: 'ours', chunkBlocks: 4 })
  const ino = file('f')
  const before = stat(ino)
  const request = rq()
  store.failures.write.push(WAIT_FOR_STORE)
  assert.equal(fs.write(request, ino, 0, Buffer.from('bytes')), WAIT_FOR_STORE)
  assert.equal(stat(ino), before)
  assert.equal(fs.dirtyExtent(9), undefined)
  assert.equal(store.seek(before.object!, 0, 4), 5)
  assert.equal(fs.write(request, ino, 0, Buffer.from('bytes')), 5)
  const bytes = Buffer.alloc(5)
  assert.equal(fs.read(ino, 0, bytes), 5)
  assert.equal(bytes.toString(), 'bytes')
  checkInvariants(fs, journal, 4)
})

test('shrinking waits until it is known whether a process holds the memory, and is refused when one does', () => {
  const { fs, store, rq, file, stat } = fixture({ clearing: 'ours' })
  const ino = file('ram', blocks(3))
  const shrink = () => fs.setAttributes(rq(), ino, { sizeBytes: blocks(1) })
  store.failures.isHeld.push(WAIT_FOR_STORE)
  assert.equal(shrink(), WAIT_FOR_STORE)
  store.held.add(stat(ino).object!)
  assert.equal(shrink(), EBUSY)
  assert.equal(stat(ino).sizeBytes, blocks(3))
  store.held.clear()
  assert.equal(ok(shrink()).sizeBytes, blocks(1))
})

test('guest RAM that a device shows has no holes, and does not grow while a process maps it', () => {
  const { fs, store, rq, file, stat } = fixture({ clearing: 'ours' })
  store.ram = NODES
  const ino = file('ram', blocks(1))
  const grow = () => fs.setAttributes(rq(), ino, { sizeBytes: blocks(3) })
  store.failures.punchHole.push(WAIT_FOR_STORE)
  assert.equal(fs.fallocate(rq(), ino, 3, 0, 4096), EOPNOTSUPP)
  store.failures.isHeld.push(WAIT_FOR_STORE)
  assert.equal(grow(), WAIT_FOR_STORE)
  store.held.add(stat(ino).object!)
  assert.equal(grow(), EBUSY)
  store.held.clear()
  assert.equal(ok(grow()).sizeBytes, blocks(3))
})

test('recovery goes on when the store has to wait: the memory follows before it grows', () => {
  const { fs, store, journal, rq, file } = fixture({ clearing: 'ours' })
  const ino = file('f')
  ok(fs.write(rq(), ino, 0, Buffer.alloc(100, 'x')))
  store.failures.resize.push(WAIT_FOR_STORE)
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 10 }))
  store.failures.resize.push(WAIT_FOR_STORE)
  const next = fixtureOver(journal.replay(), store)
  next.fs.recover(next.rq())
  store.failures.resize.push(WAIT_FOR_STORE)
  const grow = () => next.fs.setAttributes(next.rq(), ino, { sizeBytes: 50 })
  assert.equal(grow(), WAIT_FOR_STORE)
  ok(grow())
  const bytes = Buffer.alloc(50)
  assert.equal(next.fs.read(ino, 0, bytes), 50)
  assert.equal(bytes.toString('latin1'), 'x'.repeat(10) + '\0'.repeat(40))
})
