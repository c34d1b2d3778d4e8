/**
 * Tests of what the keeper sends to the service manager, and in which order, while that reads slowly or not
 * at all.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EAGAIN, ECONNREFUSED, type Errno } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { StoreUse } from '../../values/store-use.ts'
import { type FdStoreOptions, MAX_STORED, mostStored, SystemdFdStore, storedName } from './fdstore.ts'

/** What systemd makes of it: names, each with the numbers that came by it. */
class Manager {
  readonly store = new Map<string, Fd[]>()
  /** Answers to the next messages; then all are taken. */
  readonly answers: (Errno | undefined)[] = []

  readonly send = (bytes: Uint8Array, descriptors: readonly Fd[]): Errno | undefined => {
    const answer = this.answers.shift()
    if (answer !== undefined) return answer
    const words = new Map(
      Buffer.from(bytes)
        .toString()
        .split('\n')
        .map((line) => line.split('=') as [string, string]),
    )
    const name = words.get('FDNAME') ?? ''
    if (words.get('FDSTOREREMOVE') === '1') this.store.delete(name)
    if (words.get('FDSTORE') !== '1') return undefined
    assert.equal(words.get('FDPOLL'), '0', 'a connection that hangs up would vanish from the store')
    this.store.set(name, [...(this.store.get(name) ?? []), ...descriptors])
    return undefined
  }
}

const ROOMY: FdStoreOptions = { most: MAX_STORED, onUse: () => {} }

const memory = (id: number) => storedName(id as ObjectId)

test('what is put is there by its name, what is replaced is there once', async () => {
  const manager = new Manager()
  const store = new SystemdFdStore(manager.send, ROOMY)
  store.put('image', 10 as Fd)
  store.put('fuse', 11 as Fd)
  store.replace('fuse', 12 as Fd)
  store.remove('image')
  await store.settled()
  assert.deepEqual([...manager.store], [['fuse', [12]]])
})

test('a manager that is slow gets all of it in order; one that refuses is not asked twice', async () => {
  const manager = new Manager()
  manager.answers.push(EAGAIN, EAGAIN, ECONNREFUSED)
  const store = new SystemdFdStore(manager.send, ROOMY)
  store.put('image', 10 as Fd)
  store.put('runtime', 11 as Fd)
  await store.settled()
  assert.deepEqual([...manager.store], [['runtime', [11]]])
})

test('of more than the manager can bear the first are there, the rest is counted and follows', async () => {
  const manager = new Manager()
  let use: StoreUse | undefined
  const store = new SystemdFdStore(manager.send, {
    most: MAX_STORED,
    onUse: (now) => {
      use = now
    },
  })
  const most = MAX_STORED
  assert.deepEqual(use, { stored: 0, unstored: 0, most })
  for (let id = 1; id <= MAX_STORED + 10; id++) store.put(memory(id), (id + 100) as Fd)
  await store.settled()
  assert.equal(manager.store.size, MAX_STORED)
  assert.deepEqual(use, { stored: MAX_STORED, unstored: 10, most })
  store.replace('fuse', 3 as Fd)
  assert.ok(manager.store.has('fuse'), 'without the areas no memory is of use')
  store.remove(memory(MAX_STORED + 1))
  assert.deepEqual(use, { stored: MAX_STORED, unstored: 9, most })
  store.remove(memory(1))
  await store.settled()
  assert.deepEqual(manager.store.get(memory(MAX_STORED + 2)), [MAX_STORED + 102], 'the oldest has its place')
  assert.deepEqual(use, { stored: MAX_STORED, unstored: 8, most })
})

test('the limit is what the unit has, where systemd says it, less what the areas need', () => {
  assert.equal(mostStored({}), MAX_STORED)
  assert.equal(mostStored({ FDSTORE: '4096' }), MAX_STORED)
  assert.equal(mostStored({ FDSTORE: '100' }), 84)
  assert.equal(mostStored({ FDSTORE: '3' }), 0)
})

test('a number whose file is gone is never sent, however late the manager reads', async () => {
  const step = fc.record({
    memory: fc.integer({ min: 1, max: 5 }),
    drops: fc.boolean(),
    isFull: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.integer({ min: 0, max: 6 }),
      async (steps, most) => {
        const manager = new Manager()
        let use: StoreUse | undefined
        const onUse = (now: StoreUse) => {
          use = now
        }
        const store = new SystemdFdStore(manager.send, { most, onUse })
        const held = new Map<number, Fd>()
        let next = 100
        for (const { memory: id, drops, isFull } of steps) {
          if (isFull) manager.answers.push(EAGAIN)
          if (held.has(id)) store.remove(memory(id))
          held.delete(id)
          if (drops) continue
          held.set(id, next as Fd)
          store.put(memory(id), next++ as Fd)
        }
        await store.settled()
        const expected = [...held].map(([id, fd]) => [memory(id), [fd]] as const)
        const there = [...manager.store]
        assert.equal(there.length, Math.min(most, held.size))
        for (const [name, descriptors] of there)
          assert.deepEqual(descriptors, new Map(expected).get(name as ReturnType<typeof memory>))
        assert.deepEqual(use, { stored: there.length, unstored: held.size - there.length, most })
      },
    ),
    { numRuns: 40 },
  )
})

test('a keeper that begins: what the manager has keeps its place, and the rest has none there', async () => {
  const objects = [1, 2, 3, 4, 5].map((id) => [memory(id), (10 + id) as Fd] as const)
  const begun = async (had: readonly number[], theirs: readonly number[]) => {
    const manager = new Manager()
    for (const id of theirs) manager.store.set(memory(id), [(10 + id) as Fd])
    const uses: StoreUse[] = []
    const store = new SystemdFdStore(manager.send, { most: 3, onUse: (use) => uses.push(use) })
    store.begin(objects, new Set(had.map(memory)))
    await store.settled()
    assert.deepEqual(uses.at(-1), { stored: 3, unstored: 2, most: 3 })
    // When those that are counted as stored go, the others come, and nothing stays that is not theirs.
    for (const [name] of objects) store.remove(name)
    await store.settled()
    return { manager, store }
  }
  for (const [had, theirs] of [
    [
      [4, 5],
      [4, 5],
    ],
    [[], [3, 4, 5]],
    [
      [1, 3, 4, 5],
      [1, 3, 4, 5],
    ],
    [[], []],
  ]) {
    const { manager } = await begun(had as number[], theirs as number[])
    assert.deepEqual([...manager.store.keys()], [])
  }
  const manager = new Manager()
  const store = new SystemdFdStore(manager.send, { most: 3, onUse: () => {} })
  store.begin(objects, new Set([memory(4), memory(5)]))
  await store.settled()
  assert.deepEqual([...manager.store.keys()].sort(), [memory(1), memory(4), memory(5)])
})
