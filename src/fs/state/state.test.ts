import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ByteString, Ino, ObjectId } from '../../values/ids.ts'
import { blocks, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import type { Entry } from './entry.ts'
import type { Inode } from './inode.ts'
import { State } from './state.ts'

const now = { seconds: 1, nanoseconds: 2 }

/** All tables as comparable values, whatever the order they were filled in. */
function tables(state: State): unknown {
  const keyed = [...state.entries()]
    .filter(({ kind }) => kind !== 'blocks')
    .map((entry) => JSON.stringify(entry, plain))
  const stated = Array.from({ length: 40 }, (_, block) => {
    const run = state.blockStates.runBeyond(block)
    return run && run.start <= block ? run.state : 'clean'
  })
  return { keyed: keyed.sort(), stated }
}
const plain = (_: string, value: unknown) => (value instanceof Uint8Array ? [...value] : value)

function rebuilt(entries: Iterable<Entry>): State {
  const state = new State()
  for (const entry of entries) state.apply(entry)
  return state
}

function inode(ino: number, links: number): Inode {
  const times = { atime: now, mtime: now, ctime: now }
  const fields = {
    mode: 0,
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    object: undefined,
    extents: [],
    guestRam: false,
    gigantic: false,
    rdev: 0,
  }
  return {
    ino: ino as Ino,
    generation: 1,
    kind: 'symlink',
    links,
    ...times,
    ...fields,
    target: '' as ByteString,
  }
}

/** Few keys, so that entries meet each other; cookies are given out in order, as the pool does. */
const key = fc.integer({ min: 1, max: 5 })
const entries = fc
  .array(
    fc.oneof(
      fc.record({
        kind: fc.constant('inode' as const),
        inode: fc.tuple(key, fc.nat(3)).map(([ino, links]) => inode(ino, links)),
      }),
      fc.record({ kind: fc.constant('inode-gone' as const), ino: key.map((ino) => ino as Ino) }),
      fc.record({
        kind: fc.constant('name' as const),
        parent: key.map((ino) => ino as Ino),
        name: fc.constantFrom(n('a'), n('b'), n('c')),
        ino: key.map((ino) => ino as Ino),
        cookie: fc.constant(0),
      }),
      fc.record({
        kind: fc.constant('name-gone' as const),
        parent: key.map((ino) => ino as Ino),
        name: fc.constantFrom(n('a'), n('b'), n('c')),
      }),
      fc.record({
        kind: fc.constant('xattr' as const),
        ino: key.map((ino) => ino as Ino),
        name: fc.constantFrom(n('user.a'), n('user.b')),
        value: fc.uint8Array({ maxLength: 2 }),
      }),
      fc.record({
        kind: fc.constant('xattr-gone' as const),
        ino: key.map((ino) => ino as Ino),
        name: fc.constantFrom(n('user.a'), n('user.b')),
      }),
      fc.record({
        kind: fc.constant('blocks' as const),
        extent: fc.record({ start: fc.nat(30), count: fc.integer({ min: 1, max: 6 }) }),
        state: fc.constantFrom('clean' as const, 'dirty' as const, 'bad' as const),
      }),
      fc.record({
        kind: fc.constant('pool' as const),
        frozen: fc.boolean(),
        nextGeneration: fc.nat(9),
        nextCookie: fc.nat(9),
      }),
    ),
    { maxLength: 60 },
  )
  .map((list): Entry[] =>
    list.map((entry, at) => (entry.kind === 'name' ? { ...entry, cookie: at + 3 } : entry)),
  )

test('entries rebuild the state', () => {
  fc.assert(
    fc.property(entries, (list) => {
      const state = rebuilt(list)
      assert.deepEqual(tables(rebuilt(state.entries())), tables(state))
    }),
  )
})

test('a checkpoint written piecemeal while the log goes on converges with the log replayed over it', () => {
  fc.assert(
    fc.property(entries, entries, fc.array(fc.boolean()), (before, during, paces) => {
      const state = rebuilt(before)
      const checkpoint: Entry[] = []
      const walk = state.entries()
      const log = [...during]
      for (let step = 0; ; step++) {
        const next = log[0]
        if (next && paces[step % Math.max(paces.length, 1)]) {
          state.apply(next)
          log.shift()
          continue
        }
        const { value, done } = walk.next()
        if (done) break
        checkpoint.push(value)
      }
      for (const entry of log) state.apply(entry)
      assert.deepEqual(tables(rebuilt([...checkpoint, ...during])), tables(state))
    }),
    { numRuns: 500 },
  )
})

test('verify names every kind of contradiction', () => {
  const broken = (change: (state: State, ino: Ino, other: Ino) => void, expected: RegExp) => {
    const { fs, journal, rq, file } = fixture()
    const ino = file('f', blocks(2))
    const other = file('g', blocks(1))
    ok(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755))
    ok(fs.setXattr(rq(), ino, n('user.a'), Buffer.from('x'), 0))
    assert.deepEqual(journal.state.verify(16), [])
    // Applied to the tables alone, so that the index does not follow.
    const state = rebuilt(journal.state.entries())
    change(state, ino, other)
    const found = state.verify(16)
    assert.ok(
      found.some((line) => expected.test(line)),
      `${expected} in ${JSON.stringify(found)}`,
    )
  }
  const set = (state: State, ino: Ino, fields: Partial<Inode>) =>
    state.apply({ kind: 'inode', inode: { ...state.inodes.get(ino)!, ...fields } })
  const name = (parent: Ino, text: string, ino: Ino, cookie: number): Entry => {
    return { kind: 'name', parent, name: n(text), ino, cookie }
  }

  broken((state, ino) => set(state, ino, { links: 2 }), /says 2 links, there are 1/)
  broken(
    (state, ino) => state.apply({ kind: 'inode-gone', ino }),
    /points to inode \d+, which does not exist/,
  )
  broken(
    (state, ino) => state.apply({ kind: 'inode-gone', ino }),
    /xattrs of inode \d+, which does not exist/,
  )
  broken((state) => state.apply({ kind: 'inode-gone', ino: ROOT }), /no root directory/)
  broken((state, ino) => state.apply(name(ino, 'x', ROOT, 50)), /which is no directory/)
  broken((state, ino) => state.apply(name(ROOT, 'x', ino, 99)), /impossible cookie 99/)
  broken((state, ino) => state.apply(name(ROOT, 'x', ino, 3)), /shares the cookie 3/)
  broken((state, ino) => set(state, ino, { sizeBytes: 1 }), /owns 2 blocks where 1 bytes need 1/)
  broken((state, ino) => set(state, ino, { object: undefined }), /has no memory/)
  broken(
    (state, ino, other) => set(state, ino, { object: state.inodes.get(other)!.object }),
    /belongs to inode/,
  )
  broken(
    (state, ino, other) =>
      set(state, ino, { extents: [...state.inodes.get(other)!.extents, { start: 9, count: 1 }] }),
    /block 2 belongs to inode/,
  )
  broken((state, ino) => set(state, ino, { extents: [{ start: 15, count: 2 }] }), /of a pool of 16/)
  broken((state, ino) => set(state, ino, { generation: 99 }), /has generation 99/)
  broken((state, ino) => set(state, ino, { sizeBytes: 0, extents: [] }), /guest RAM without a size/)
  broken((state, ino) => set(state, ino, { target: n('t') }), /has a target/)
  broken((state, ino) => set(state, ino, { object: 77 as ObjectId, mode: 0o100644 }), /has mode 100644/)
  broken(
    (state) => state.apply({ kind: 'blocks', extent: { start: 0, count: 1 }, state: 'dirty' }),
    /owns dirty blocks/,
  )
  broken(
    (state) => state.apply({ kind: 'blocks', extent: { start: 15, count: 3 }, state: 'bad' }),
    /bad blocks 15\+3/,
  )
  broken((state) => {
    const d = [...state.inodes.values()].find(({ kind, ino }) => kind === 'directory' && ino !== ROOT)!.ino
    state.apply({ kind: 'name-gone', parent: ROOT, name: n('d') })
    state.apply(name(d, 'self', d, 4))
  }, /cannot be reached from the root/)
})
