/** What a keeper hands over is what the next one finds, whatever fails on the way. The kernel's part is played by `FakeLuo`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { memfdCreate, readAt, resize, writeAt } from '../../linux/memory.ts'
import { HandOverWords } from '../../stores/memfd/handover-status.ts'
import type { HandOverStep } from '../../stores/store.ts'
import { EBUSY, ENOMEM } from '../../values/errno.ts'
import type { Fd, MemoryId } from '../../values/ids.ts'
import { makeTable } from '../areas.ts'
import { Arrival } from './incoming.ts'
import { Custody } from '../memfd-table.ts'
import type { Found, Stranded } from './find-incoming.ts'
import { openArrival } from './find-incoming.ts'
import { HandOver } from './outgoing.ts'
import { sessionName } from './session-names.ts'
import { FakeLuo } from './testing/fake-luo.ts'

const POOL = 'pool'

function memfdOf(text: string): Fd {
  const fd = memfdCreate('test', { sealable: true })
  resize(fd, 16)
  writeAt(fd, 0, Buffer.from(text))
  return fd
}

function textOf(fd: Fd): string {
  const bytes = Buffer.alloc(16)
  readAt(fd, 0, bytes)
  return bytes.toString('latin1').replace(/\0+$/, '')
}

/** A keeper with `count` memories, that hands over as its server asks. */
function keeper(luo: FakeLuo, count: number, sessionFiles = 3) {
  const { table } = makeTable()
  const custody = new Custody(table)
  const memories = Array.from({ length: count }, (_, index) => (index + 1) as MemoryId)
  for (const memory of memories) custody.keep([memory], [memfdOf(`memory ${memory}`)])
  const shared: Fd[] = []
  const words = new HandOverWords(table.words)
  const handOver = new HandOver({
    pool: POOL,
    totalBlocks: () => 8,
    custody,
    table,
    luo,
    sessionFiles,
    share: (sessions) => void shared.push(...sessions),
    unshare: async () => void shared.splice(0),
    note: () => {},
  })
  const until = async (isOver: () => boolean) => {
    for (let look = 0; !isOver(); look++) {
      assert.ok(look < 1000, 'it never ends')
      await sleep(1)
    }
  }
  const step = async (step: HandOverStep, leaving: readonly MemoryId[]) => {
    for (const memory of leaving) table.setPassage(memory, 'leaving')
    words.begin(step, step === 'image' ? 1 : leaving.length)
    handOver.step(step, step === 'image' ? memfdOf('image') : undefined)
    await until(() => words.state !== 'busy')
    return words.status
  }
  const all = async () => {
    await step('ram', memories.slice(0, 2))
    await step('files', memories.slice(2))
    return await step('image', [])
  }
  return { table, custody, memories, handOver, words, shared, step, all, until }
}

/** The next kernel's keeper, as far as memory comes back. */
async function arrival(luo: FakeLuo, found: Found) {
  const { table } = makeTable()
  const custody = new Custody(table)
  for (const { memory } of found.awaited) table.setPassage(memory, 'awaited')
  for (const memory of found.lost) table.setPassage(memory, 'lost')
  const told = new Map<MemoryId, Fd | undefined>()
  const coming = new Arrival({
    sessions: found.sessions,
    awaited: found.awaited,
    custody,
    table,
    luo,
    tell: (memory, fd) => void told.set(memory, fd),
    unshare: async () => {},
    note: () => {},
  })
  await coming.run()
  return { table, custody, told, coming }
}

const isFound = (found: Found | Stranded | undefined): Found => {
  assert.ok(found !== undefined && 'awaited' in found, JSON.stringify(found))
  return found
}

test('every memory comes back as what it was, files before guest RAM, in as many sessions as it takes', async () => {
  const luo = new FakeLuo()
  const { memories, all, shared } = keeper(luo, 10)
  const { state, memories: wanted, preserved } = await all()
  assert.deepEqual({ state, wanted, preserved }, { state: 'done', wanted: 11, preserved: 11 })
  // The index, one for guest RAM, three for eight files of three each.
  assert.equal(luo.outgoing.size, 5)
  assert.deepEqual(shared, [...luo.outgoing.keys()])
  luo.jump()
  const found = isFound(await openArrival(POOL, luo))
  assert.equal(found.totalBlocks, 8)
  assert.equal(textOf(found.packed), 'image')
  assert.deepEqual(
    found.awaited.map(({ memory }) => memory),
    [...memories.slice(2), ...memories.slice(0, 2)],
  )
  const { custody, told, table, coming } = await arrival(luo, found)
  for (const memory of memories) {
    assert.equal(textOf(custody.descriptor(memory) as Fd), `memory ${memory}`)
    assert.equal(table.passage(memory), 'none')
    assert.equal(told.get(memory), custody.descriptor(memory))
  }
  assert.equal(luo.finished.length, 5)
  assert.deepEqual(coming.sessions, [])
})

test('a session that is full is followed by another', async () => {
  const luo = new FakeLuo(2)
  const { all } = keeper(luo, 7, 100)
  assert.equal((await all()).state, 'done')
  luo.jump()
  assert.equal(isFound(await openArrival(POOL, luo)).awaited.length, 7)
})

test('what fails says whose memory it was, and all of it can be taken back and done again', async () => {
  const luo = new FakeLuo()
  const { memories, step, handOver, words, table, until, shared, all } = keeper(luo, 4)
  luo.failures.preserve.push(undefined, ENOMEM)
  const failed = await step('ram', memories.slice(0, 3))
  assert.deepEqual(failed.failure, { errno: ENOMEM, memory: memories[1] })
  assert.equal(failed.state, 'failed')
  words.undoing()
  handOver.takeBack()
  await until(() => words.state === 'idle')
  assert.deepEqual([luo.outgoing.size, shared.length], [0, 0])
  assert.ok(memories.every((memory) => table.passage(memory) === 'none'))
  assert.equal((await all()).state, 'done')
})

test('a name that is taken is found out before any memory is preserved', async () => {
  const luo = new FakeLuo()
  await luo.create(sessionName(POOL))
  const { step, memories } = keeper(luo, 2)
  const { state, failure, preserved } = await step('ram', memories)
  assert.equal(state, 'failed')
  assert.deepEqual([failure?.errno.name, failure?.memory, preserved], ['EEXIST', undefined, 0])
})

test('taking back does not wait for a step to end', async () => {
  const luo = new FakeLuo()
  const { memories, handOver, words, table, until } = keeper(luo, 50)
  for (const memory of memories) table.setPassage(memory, 'leaving')
  words.begin('ram', memories.length)
  handOver.step('ram', undefined)
  words.undoing()
  handOver.takeBack()
  await until(() => words.state === 'idle')
  assert.equal(luo.outgoing.size, 0)
})

test('a session that is gone, a token that is missing and one that fails cost their own files alone', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 10).all()
  luo.jump()
  luo.incoming.delete(sessionName(POOL, 2))
  const third = luo.incoming.get(sessionName(POOL, 3))
  third?.files.delete(BigInt(6))
  const found = isFound(await openArrival(POOL, luo))
  assert.equal(found.lost.length, 3)
  // Of the first it is not there, of the second it fails.
  luo.failures.retrieve.push(undefined, ENOMEM)
  const { table, told, custody } = await arrival(luo, found)
  const lost = [...table.memories()].filter((memory) => table.passage(memory) === 'lost')
  assert.equal(lost.length, 5)
  assert.equal([...told.values()].filter((fd) => fd === undefined).length, 2)
  assert.equal(custody.size, 5)
})

test('a keeper that takes over finds what is awaited in whichever session it lies', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 8).all()
  luo.jump()
  const found = isFound(await openArrival(POOL, luo))
  const heir = { ...found, awaited: found.awaited.map(({ memory }) => ({ memory, session: undefined })) }
  assert.equal((await arrival(luo, heir)).custody.size, 8)
})

test('a session that cannot be finished stays open', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 2).all()
  luo.jump()
  luo.failures.finish.push(EBUSY)
  const found = isFound(await openArrival(POOL, luo))
  const { coming } = await arrival(luo, found)
  assert.deepEqual(coming.sessions, found.sessions.slice(0, 1))
  assert.ok(!luo.closed.includes(found.sessions[0] as Fd))
})

test('without image or manifest the sessions are kept, and why is said', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 2).all()
  luo.jump()
  const index = luo.incoming.get(sessionName(POOL))
  index?.files.delete(1n << 63n)
  const stranded = await openArrival(POOL, luo)
  assert.ok(stranded !== undefined && 'why' in stranded)
  assert.match(stranded.why, /its image does not come back: ENOENT/)
  assert.equal(stranded.sessions.length, 2)
  const other = new FakeLuo()
  await keeper(other, 2).all()
  other.jump()
  other.incoming.get(sessionName(POOL))?.files.set((1n << 63n) + 1n, memfdOf('no json'))
  const harmed = await openArrival(POOL, other)
  assert.ok(harmed !== undefined && 'why' in harmed)
  assert.match(harmed.why, /manifest is none that this version can read/)
  assert.equal(await openArrival('nobody', other), undefined)
})

test('a name of any length has its own sessions', () => {
  const names = ['a', 'x'.repeat(64), `${'x'.repeat(63)}y`].flatMap((pool) => [
    sessionName(pool),
    sessionName(pool, 9999),
  ])
  assert.equal(new Set(names).size, names.length)
  for (const name of names) assert.ok(name.length <= 63 && name.startsWith('guestmemfs:'), name)
})
