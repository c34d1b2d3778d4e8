/**
 * What a keeper hands over is what the next one finds, whatever fails on the way. `FakeLuo` is in the place
 * of the kernel's orchestrator.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { memfdCreate, readAt, resize, writeAt } from '../../linux/memory.ts'
import { HandoverWords } from '../../stores/memfd/handover-status.ts'
import { EBUSY, ENOMEM } from '../../values/errno.ts'
import type { HandoverStep } from '../../values/handover-step.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { makeTable } from '../areas.ts'
import { MemfdTable } from '../memfd-table.ts'
import type { Incoming, Unusable } from './find-incoming.ts'
import { openIncoming } from './find-incoming.ts'
import { OutgoingSessions } from './preserve-memfds.ts'
import { IncomingSessions } from './retrieve-memfds.ts'
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

/** A keeper with `count` memory objects, which hands over as its server asks. */
function keeper(luo: FakeLuo, count: number, sessionFiles = 3) {
  const { table } = makeTable()
  const memfds = new MemfdTable(table)
  const objects = Array.from({ length: count }, (_, index) => (index + 1) as ObjectId)
  for (const object of objects) memfds.hold([object], [memfdOf(`memory ${object}`)])
  const shared: Fd[] = []
  const words = new HandoverWords(table.words, 'server')
  const handover = new OutgoingSessions({
    pool: POOL,
    totalBlocks: () => 8,
    memfds,
    table,
    luo,
    sessionFiles,
    share: (sessions) => void shared.push(...sessions),
    unshare: async () => void shared.splice(0),
    log: () => {},
  })
  const until = async (isOver: () => boolean) => {
    for (let look = 0; !isOver(); look++) {
      assert.ok(look < 1000, 'it never ends')
      await sleep(1)
    }
  }
  const step = async (step: HandoverStep, outgoing: readonly ObjectId[]) => {
    for (const object of outgoing) table.setState(object, 'outgoing')
    words.begin(step, step === 'image' ? 1 : outgoing.length)
    handover.preserve(step, step === 'image' ? memfdOf('image') : undefined)
    await until(() => words.state !== 'preserving')
    return words.status
  }
  const all = async () => {
    await step('ram', objects.slice(0, 2))
    await step('files', objects.slice(2))
    return await step('image', [])
  }
  return { table, memfds, objects, handover, words, shared, step, all, until }
}

/** The next kernel's keeper, as far as memory comes back. */
async function retrieveInNextKernel(luo: FakeLuo, found: Incoming) {
  const { table } = makeTable()
  const memfds = new MemfdTable(table)
  for (const { object } of found.incoming) table.setState(object, 'incoming')
  for (const object of found.lost) table.setState(object, 'lost')
  const retrieved = new Map<ObjectId, Fd | undefined>()
  const sessions = new IncomingSessions({
    sessions: found.sessions,
    incoming: found.incoming,
    memfds,
    table,
    luo,
    retrieved: (object, fd) => void retrieved.set(object, fd),
    unshare: async () => {},
    log: () => {},
  })
  await sessions.retrieveAll()
  return { table, memfds, retrieved, sessions }
}

function isFound(found: Incoming | Unusable | undefined): Incoming {
  assert.ok(found !== undefined && 'incoming' in found, JSON.stringify(found))
  return found
}

test('every memory comes back as what it was, files before guest RAM, in as many sessions as it takes', async () => {
  const luo = new FakeLuo()
  const { objects, all, shared } = keeper(luo, 10)
  const { state, objects: wanted, preserved } = await all()
  assert.deepEqual({ state, wanted, preserved }, { state: 'done', wanted: 11, preserved: 11 })
  // The index, one for guest RAM, three for eight files of three each.
  assert.equal(luo.outgoing.size, 5)
  assert.deepEqual(shared, [...luo.outgoing.keys()])
  luo.kexec()
  const found = isFound(await openIncoming(POOL, luo))
  assert.equal(found.totalBlocks, 8)
  assert.equal(textOf(found.packed), 'image')
  assert.deepEqual(
    found.incoming.map(({ object }) => object),
    [...objects.slice(2), ...objects.slice(0, 2)],
  )
  const { memfds, retrieved, table, sessions } = await retrieveInNextKernel(luo, found)
  for (const object of objects) {
    assert.equal(textOf(memfds.descriptor(object) as Fd), `memory ${object}`)
    assert.equal(table.state(object), 'present')
    assert.equal(retrieved.get(object), memfds.descriptor(object))
  }
  assert.equal(luo.finished.length, 5)
  assert.deepEqual(sessions.sessions, [])
})

test('a session that is full is followed by another', async () => {
  const luo = new FakeLuo(2)
  const { all } = keeper(luo, 7, 100)
  assert.equal((await all()).state, 'done')
  luo.kexec()
  assert.equal(isFound(await openIncoming(POOL, luo)).incoming.length, 7)
})

test('what fails says whose memory it was, and all of it can be unpreserved and done again', async () => {
  const luo = new FakeLuo()
  const { objects, step, handover, words, table, until, shared, all } = keeper(luo, 4)
  luo.failures.preserve.push(undefined, ENOMEM)
  const failed = await step('ram', objects.slice(0, 3))
  assert.deepEqual(failed.failure, { errno: ENOMEM, object: objects[1] })
  assert.equal(failed.state, 'failed')
  words.apply('unpreserve')
  handover.unpreserve()
  await until(() => words.state === 'idle')
  assert.deepEqual([luo.outgoing.size, shared.length], [0, 0])
  assert.ok(objects.every((object) => table.state(object) === 'present'))
  assert.equal((await all()).state, 'done')
})

test('a name that is taken is found out before any memory is preserved', async () => {
  const luo = new FakeLuo()
  await luo.create(sessionName(POOL))
  const { step, objects } = keeper(luo, 2)
  const { state, failure, preserved } = await step('ram', objects)
  assert.equal(state, 'failed')
  assert.deepEqual([failure?.errno.name, failure?.object, preserved], ['EEXIST', undefined, 0])
})

test('unpreserving does not wait for a step to end', async () => {
  const luo = new FakeLuo()
  const { objects, handover, words, table, until } = keeper(luo, 50)
  for (const object of objects) table.setState(object, 'outgoing')
  words.begin('ram', objects.length)
  handover.preserve('ram', undefined)
  words.apply('unpreserve')
  handover.unpreserve()
  await until(() => words.state === 'idle')
  assert.equal(luo.outgoing.size, 0)
})

test('a session that is gone, a token that is missing and one that fails cost their own files alone', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 10).all()
  luo.kexec()
  luo.incoming.delete(sessionName(POOL, 2))
  const third = luo.incoming.get(sessionName(POOL, 3))
  third?.files.delete(BigInt(6))
  const found = isFound(await openIncoming(POOL, luo))
  assert.equal(found.lost.length, 3)
  // Of the first it is not there, of the second it fails.
  luo.failures.retrieve.push(undefined, ENOMEM)
  const { table, retrieved, memfds } = await retrieveInNextKernel(luo, found)
  const lost = [...table.objects()].filter((object) => table.state(object) === 'lost')
  assert.equal(lost.length, 5)
  assert.equal([...retrieved.values()].filter((fd) => fd === undefined).length, 2)
  assert.equal(memfds.size, 5)
})

test('a keeper that takes over retrieves what is incoming from whichever session it is in', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 8).all()
  luo.kexec()
  const found = isFound(await openIncoming(POOL, luo))
  const next = { ...found, incoming: found.incoming.map(({ object }) => ({ object, session: undefined })) }
  assert.equal((await retrieveInNextKernel(luo, next)).memfds.size, 8)
})

test('a session that cannot be finished stays open', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 2).all()
  luo.kexec()
  luo.failures.finish.push(EBUSY)
  const found = isFound(await openIncoming(POOL, luo))
  const { sessions } = await retrieveInNextKernel(luo, found)
  assert.deepEqual(sessions.sessions, found.sessions.slice(0, 1))
  assert.ok(!luo.closed.includes(found.sessions[0] as Fd))
})

test('without image or manifest the sessions are kept, and why is said', async () => {
  const luo = new FakeLuo()
  await keeper(luo, 2).all()
  luo.kexec()
  const index = luo.incoming.get(sessionName(POOL))
  index?.files.delete(1n << 63n)
  const unusable = await openIncoming(POOL, luo)
  assert.ok(unusable !== undefined && 'why' in unusable)
  assert.match(unusable.why, /its image could not be retrieved: ENOENT/)
  assert.equal(unusable.sessions.length, 2)
  const other = new FakeLuo()
  await keeper(other, 2).all()
  other.kexec()
  other.incoming.get(sessionName(POOL))?.files.set((1n << 63n) + 1n, memfdOf('no json'))
  const damaged = await openIncoming(POOL, other)
  assert.ok(damaged !== undefined && 'why' in damaged)
  assert.match(damaged.why, /manifest is none that this version can read/)
  assert.equal(await openIncoming('nobody', other), undefined)
})

test('a name of any length has its own sessions', () => {
  const names = ['a', 'x'.repeat(64), `${'x'.repeat(63)}y`].flatMap((pool) => [
    sessionName(pool),
    sessionName(pool, 9999),
  ])
  assert.equal(new Set(names).size, names.length)
  for (const name of names) assert.ok(name.length <= 63 && name.startsWith('guestmemfs:'), name)
})
