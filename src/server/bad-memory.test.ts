/** Memory that fails, as a server learns of it and records it, over a file system in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, type Fixture, fixtureOver, ok } from '../fs/testing/fixture.ts'
import { MemoryStore } from '../fs/testing/memory-store.ts'
import { PlainJournal } from '../fs/testing/plain-journal.ts'
import type { LoggedBlocks, MemoryFailures } from '../stores/memory-failures.ts'
import { EPERM, type Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { MIB } from '../values/units.ts'
import { BadMemory } from './bad-memory.ts'

const TOTAL_BLOCKS = 8
const LOG = 7 as Fd
const NOTHING: LoggedBlocks = { blocks: [], image: [], gaps: 0, isMore: false }

/** Blocks of memory that begin at 4 GiB, and a log that the test writes. */
class FailingStore extends MemoryStore {
  readonly log: Partial<LoggedBlocks>[] = []
  readonly hints: number[] = []
  readonly memoryFailures: MemoryFailures

  constructor(unreadable?: Errno) {
    const place = { start: 2 ** 32, lengthBytes: 32 * MIB }
    super({ clearing: 'ours', totalBlocks: TOTAL_BLOCKS, place })
    this.memoryFailures = {
      fd: unreadable === undefined ? LOG : undefined,
      unreadable,
      logged: () => ({ ...NOTHING, ...this.log.shift() }),
      suspected: () => this.hints.splice(0),
    }
  }
}

function setUp(unreadable?: Errno) {
  const store = new FailingStore(unreadable)
  const fx: Fixture<PlainJournal, FailingStore> = fixtureOver(new PlainJournal(TOTAL_BLOCKS), store)
  const lines: string[] = []
  const clock = { ms: 0 }
  const bad = new BadMemory(
    fx.fs,
    store,
    () => fx.rq(),
    (line) => void lines.push(line),
    () => clock.ms,
  )
  const badRuns = () =>
    fx.journal.state.blockStates.runs
      .filter(({ state }) => state === 'bad')
      .map(({ start, count }) => [start, count])
  return { fx, store, lines, clock, bad, badRuns }
}

test('what the kernel has logged is recorded once, with its address', () => {
  const { fx, store, lines, bad, badRuns } = setUp()
  store.log.push({ blocks: [2, 3, 2] }, { blocks: [3] })
  bad.look()
  assert.deepEqual(badRuns(), [[2, 2]])
  const said = (at: string) => `memory has failed at ${at}: it is recorded as bad`
  assert.deepEqual(lines, [said('0x100400000+2M'), said('0x100600000+2M')])
  const { length } = fx.journal.records
  bad.look()
  assert.deepEqual([lines.length, fx.journal.records.length], [2, length])
})

test('after a look the log is left alone for a second; a log that has more is read on at once', () => {
  const { store, clock, bad, badRuns } = setUp()
  assert.deepEqual([bad.fd, bad.timerMs], [LOG, undefined])
  store.log.push({ blocks: [0], isMore: true }, { blocks: [1] }, { blocks: [2] })
  assert.equal(bad.look(), true)
  assert.equal(bad.fd, LOG)
  assert.equal(bad.look(), false)
  assert.deepEqual([bad.fd, bad.timerMs], [undefined, 1000])
  assert.deepEqual(badRuns(), [[0, 2]])
  // `lookAtAll` reads it all the same: the server calls it before it calls blocks clean.
  bad.lookAtAll()
  assert.deepEqual(badRuns(), [[0, 3]])
  clock.ms = 1000
  assert.deepEqual([bad.fd, bad.timerMs], [LOG, undefined])
})

test('a log without an end is not read without an end', () => {
  const { store, bad } = setUp()
  store.memoryFailures.logged = () => ({ ...NOTHING, isMore: true })
  bad.lookAtAll()
})

test('what the image has no room for is recorded when it has', () => {
  const { fx, store, lines, clock, bad, badRuns } = setUp()
  fx.journal.limit = fx.journal.records.length
  store.log.push({ blocks: [5] }, { blocks: [6] })
  bad.look()
  bad.look()
  clock.ms = 5000
  assert.equal(bad.timerMs, 1000, 'it is tried again')
  bad.advance()
  assert.deepEqual([badRuns(), lines], [[], []])
  fx.journal.limit = Number.POSITIVE_INFINITY
  bad.advance()
  assert.deepEqual([badRuns(), lines.length, bad.timerMs], [[[5, 2]], 2, undefined])
})

test('a block that the server cannot use counts as bad at the third time, each a second after the one before', () => {
  const { store, clock, bad, badRuns } = setUp()
  const failAt = (ms: number, block: number): void => {
    clock.ms = ms
    store.hints.push(block)
    bad.advance()
  }
  for (const ms of [0, 1, 999, 1000, 1500]) failAt(ms, 4)
  assert.deepEqual(badRuns(), [])
  failAt(1500, 5)
  failAt(2000, 4)
  assert.deepEqual(badRuns(), [[4, 1]])
  bad.suspect(5)
  clock.ms = 9000
  bad.suspect(5)
  bad.suspect(5)
  assert.deepEqual(badRuns(), [[4, 1]])
  clock.ms = 10_000
  bad.suspect(5)
  assert.deepEqual(badRuns(), [[4, 2]])
})

test('a failure under a file is recorded, and the file keeps its block', () => {
  const { fx, store, bad, badRuns } = setUp()
  const ino = fx.file('ram', blocks(2))
  store.log.push({ blocks: [1] })
  bad.look()
  assert.deepEqual(badRuns(), [[1, 1]])
  assert.deepEqual(fx.stat(ino).extents, [{ start: 0, count: 2 }])
  ok(fx.fs.setAttributes(fx.rq(), ino, { sizeBytes: blocks(1) }))
  assert.deepEqual(badRuns(), [[1, 1]])
})

test('a page of the image is reported once, lost lines ever more rarely, and a log that cannot be read', () => {
  const { store, lines, bad, badRuns } = setUp()
  for (let times = 0; times < 100; times++) store.log.push({ image: [0x101c00000], gaps: 1 })
  for (let times = 0; times < 100; times++) bad.look()
  assert.equal(lines.filter((line) => /at 0x101c00000, in the image/.test(line)).length, 1)
  assert.deepEqual(
    lines.flatMap((line) => /were lost .*\((\d+) times\)/.exec(line)?.[1] ?? []),
    ['1', '2', '4', '8', '16', '32', '64'],
  )
  assert.deepEqual(badRuns(), [])
  assert.match(setUp(EPERM).lines.join(), /^the kernel's log cannot be read \(EPERM\)/)
})

test('a store whose kernel keeps failed memory away is left alone', () => {
  const store = new MemoryStore({ clearing: 'kernel', totalBlocks: 4 })
  const fx = fixtureOver(new PlainJournal(4), store)
  const bad = new BadMemory(fx.fs, store, () => fx.rq(), assert.fail)
  bad.lookAtAll()
  bad.advance()
  assert.deepEqual([bad.fd, bad.timerMs], [undefined, undefined])
})
