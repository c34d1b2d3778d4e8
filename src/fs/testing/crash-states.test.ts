/**
 * Every crash of every pair of operations, on memory that the store clears, with and without zones, and on
 * memory that the kernel clears. And the proof that this can fail: planted mistakes, each of which must be
 * noticed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileSystem } from '../file-system.ts'
import { roleOf, type StorePurpose } from '../image/testing/bugs.ts'
import { GEOMETRY } from './crash/crash-server.ts'
import { explorePair } from './crash/explore.ts'
import { OPERATION_NAMES, OPERATIONS, type OperationName, UPGRADE } from './crash/operations.ts'
import type { Event, Mistakes } from './crash/recording.ts'
import { LOG_PHASES, starts } from './crash/starts.ts'
import type { MemoryKind } from './memory-store.ts'

const KINDS: readonly MemoryKind[] = [
  { clearing: 'ours', chunkBlocks: 4 },
  { clearing: 'ours' },
  { clearing: 'kernel' },
]

/** What only looks, and what is not an operation but how a server begins. */
const NO_CHANGE = [
  ...['constructor', 'inode', 'lookup', 'parentOf', 'readDirectory', 'readlink', 'read', 'seek', 'getXattr'],
  ...['listXattrs', 'addRootXattr', 'statfs', 'frozen', 'dirtyExtent', 'orphans', 'orphanCount', 'guestRam'],
  ...['isSearching', 'recover', 'oversizedCount', 'retryShrinks'],
]

test('the operations are every way to change the file system, and each of them changes it', () => {
  const called = new Set<string>()
  for (const name of OPERATION_NAMES) {
    // Only memory of the host can be more or less.
    const kind = KINDS.find(({ clearing }) => (clearing === 'kernel') === name.includes('the pool'))
    const server = starts(kind as MemoryKind)['in between']()
    if (name === 'thaw') server.fs.freeze(server.rq())
    const fs = new Proxy(server.fs, {
      get: (target, key: keyof FileSystem) => {
        called.add(key)
        const member = target[key]
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
    server.events.length = 0
    OPERATIONS[name]({ ...server, fs })
    assert.ok(
      server.events.some(({ kind }) => kind === 'record'),
      `${name} makes no record`,
    )
  }
  const ways = Object.getOwnPropertyNames(FileSystem.prototype).filter((name) => !NO_CHANGE.includes(name))
  assert.deepEqual([...called].filter((name) => !NO_CHANGE.includes(name)).sort(), ways.sort())
})

for (const [shift, kind] of KINDS.entries()) {
  const chunks = kind.chunkBlocks === undefined ? '' : `, data chunks of ${kind.chunkBlocks}`
  test(`every crash of every pair of operations is recovered from, clearing: ${kind.clearing}${chunks}`, (t) => {
    const start = starts(kind)
    const roles = new Set<StorePurpose>()
    let [pairs, crashes] = [0, 0]
    for (const [row, first] of OPERATION_NAMES.entries()) {
      for (const [column, second] of OPERATION_NAMES.entries()) {
        // Over the kinds of store each pair meets each phase of the log.
        const phase = LOG_PHASES[(row + column + shift) % LOG_PHASES.length] as (typeof LOG_PHASES)[number]
        try {
          const explored = explorePair(start[phase], first, second)
          crashes += explored.crashes
          for (const event of explored.events)
            if (event.kind === 'store') roles.add(roleOf(event.store, GEOMETRY))
        } catch (error) {
          throw new Error(`${first}, then ${second}, ${phase}`, { cause: error })
        }
        pairs++
      }
    }
    t.diagnostic(`${pairs} pairs, ${crashes} crashes`)
    assert.equal(roles.size, 10, `only these stores were interrupted: ${[...roles].join()}`)
  })
}

test('every crash of the upgrade of an image, before and after each operation, is recovered from', (t) => {
  let [crashes, upgrades] = [0, 0]
  for (const [row, name] of OPERATION_NAMES.entries()) {
    const start = starts(KINDS[row % KINDS.length] as MemoryKind, {}, 1)
    const phase = LOG_PHASES[row % LOG_PHASES.length] as (typeof LOG_PHASES)[number]
    for (const pair of [[UPGRADE, name] as const, [name, UPGRADE] as const]) {
      const explored = explorePair(start[phase], pair[0], pair[1])
      crashes += explored.crashes
      // While the pool is frozen its image stays as it is.
      const isUpgraded = pair[1] === UPGRADE && name !== 'freeze'
      if (!isUpgraded) continue
      upgrades++
      assert.deepEqual(
        explored.events.map(({ kind }) => kind),
        ['store', 'store'],
        name,
      )
    }
  }
  assert.equal(upgrades, OPERATION_NAMES.length - 1)
  t.diagnostic(`${crashes} crashes`)
})

interface Planted {
  readonly what: string
  readonly first: OperationName
  readonly second: OperationName
  /** A mistake of the file system or its store. */
  readonly mistakes?: Mistakes
  /** A mistake in the order of things. */
  readonly reorder?: (events: Event[]) => Event[]
}

const isMemory = (event: Event) => event.kind === 'memory'
const memoryFirst = (events: Event[]) => [
  ...events.filter(isMemory),
  ...events.filter((event) => !isMemory(event)),
]
const memoryLast = (events: Event[]) => memoryFirst(events.toReversed()).toReversed()
const without = (role: StorePurpose) => (events: Event[]) =>
  events.filter((event) => event.kind !== 'store' || roleOf(event.store, GEOMETRY) !== role)
function tailFirst(events: Event[]) {
  const tail = events.findIndex((event) => event.kind === 'store' && roleOf(event.store, GEOMETRY) === 'tail')
  return [...events.slice(tail, tail + 1), ...events.slice(0, tail), ...events.slice(tail + 1)]
}

const PLANTED: readonly Planted[] = [
  {
    what: 'blocks that hold bytes are called clean',
    first: 'truncate down',
    second: 'chmod',
    mistakes: { callsDirtyClean: true },
  },
  { what: 'zeroing is skipped', first: 'zeroed', second: 'create', mistakes: { skipsZeroing: true } },
  {
    what: 'bytes that are cut off stay in memory',
    first: 'truncate within a block',
    second: 'chmod',
    mistakes: { keepsCutBytes: true },
  },
  { what: 'a record is never stored', first: 'chmod', second: 'create', reorder: without('record header') },
  {
    what: 'a record is acknowledged before it is there',
    first: 'chmod',
    second: 'create',
    reorder: tailFirst,
  },
  {
    what: 'memory shrinks before the record',
    first: 'chmod',
    second: 'truncate within a block',
    reorder: memoryFirst,
  },
  {
    what: 'a record names memory that is not made yet',
    first: 'chmod',
    second: 'create',
    reorder: memoryLast,
  },
  { what: 'bytes are written after the record', first: 'chmod', second: 'write', reorder: memoryLast },
]

const [KIND] = KINDS as [MemoryKind]

for (const { what, first, second, mistakes, reorder } of PLANTED) {
  test(`noticed: ${what}`, (t) => {
    // The same crashes of the same pair without the mistake are recovered from: it is the mistake that is
    // noticed.
    explorePair(starts(KIND)['in between'], first, second)
    assert.throws(
      () => explorePair(starts(KIND, mistakes)['in between'], first, second, reorder),
      (error: Error) => {
        t.diagnostic(error.message.split('\n')[0] as string)
        return true
      },
    )
  })
}
