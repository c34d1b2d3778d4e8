/**
 * Requests that find the pool full while files without a name own its blocks: how long they wait for these.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, type Fixture, fixture, fixtureOver, nameAt, ok, ROOT } from '../fs/testing/fixture.ts'
import type { NodeId } from '../values/ids.ts'
import { WAIT_FOR_STORE } from '../values/refusal.ts'
import { Maintenance } from './maintenance.ts'
import type { RuntimeArea } from './runtime-area.ts'
import { connection, fallocate, forget, nodeIdOf, RESENT } from './testing/connection.ts'

const ENOSPC = -28

/** A pool of four blocks with an empty file, `small`, and the server of it, with a clock of the test. */
function server() {
  const fx = fixture({ totalBlocks: 4 })
  fx.file('small')
  const clock = { nowMs: 0 }
  const { runtime, startServer } = connection(fx, () => clock.nowMs)
  const { ask, ...rest } = startServer()
  const nodeid = nodeIdOf(fx, 'small')
  const grow = (unique: bigint, count = 1) => ask(fallocate(blocks(count), { unique, nodeid }))
  return { fx, clock, runtime, startServer, ask, grow, ...rest }
}

/**
 * A file with all blocks but those in use and without a name, which the kernel knows until it sends FORGET.
 */
function orphan({ fx, runtime }: { fx: Fixture; runtime: RuntimeArea }): NodeId {
  const ino = fx.file('large', blocks(fx.fs.statfs().freeBlocks))
  const nodeId = nodeIdOf(fx, 'large')
  runtime.setLookups(ino, 'file', 1)
  ok(fx.fs.unlink(fx.rq(), nameAt(ROOT, 'large')) ?? 0)
  assert.equal(fx.fs.orphanCount, 1)
  return nodeId
}

test('a full pool waits while orphans own memory, and is answered as one after 20 ms', () => {
  const { fx, clock, runtime, grow, retry, parked } = server()
  const named = fx.file('named', blocks(4))
  assert.equal(grow(2n), ENOSPC, 'there are no orphans')
  ok(fx.fs.setAttributes(fx.rq(), named, { sizeBytes: 0 }))
  orphan({ fx, runtime })
  for (const unique of [4n, 6n]) assert.equal(grow(unique), undefined)
  assert.deepEqual(retry(), [])
  assert.equal(parked.size, 2)
  clock.nowMs = 20
  assert.deepEqual(retry(), [
    [4n, ENOSPC],
    [6n, ENOSPC],
  ])
  assert.equal(fx.fs.orphanCount, 1)
})

test('each request waits for room for so long by itself, whenever the one before it came', () => {
  const { fx, clock, runtime, ask, grow, retry } = server()
  const nodeId = orphan({ fx, runtime })
  assert.equal(grow(2n), undefined)
  clock.nowMs = 19
  assert.equal(grow(4n), undefined)
  clock.nowMs = 20
  assert.deepEqual(retry(), [[2n, ENOSPC]])
  clock.nowMs = 38
  assert.deepEqual(retry(), [])
  assert.equal(ask(forget(nodeId)), undefined)
  assert.deepEqual(retry(), [[4n, 0]])
})

test('the wait for room begins when the pool is full, not with an earlier wait of the same request', () => {
  const { fx, clock, runtime, grow, retry } = server()
  fx.store.failures.resize.push(WAIT_FOR_STORE)
  assert.equal(grow(2n, 2), undefined)
  clock.nowMs = 100
  orphan({ fx, runtime })
  assert.deepEqual(retry(), [])
  clock.nowMs = 119
  assert.deepEqual(retry(), [])
  clock.nowMs = 120
  assert.deepEqual(retry(), [[2n, ENOSPC]])
})

test('what the kernel has forgotten is freed before a request that has waited for it is refused', () => {
  const { fx, clock, runtime, ask, grow, retry, context } = server()
  const nodeId = orphan({ fx, runtime })
  assert.equal(grow(2n), undefined)
  clock.nowMs = 20
  assert.equal(ask(forget(nodeId)), undefined)
  assert.equal(context.evictions.size, 1)
  assert.deepEqual(retry(), [[2n, 0]])
})

test('a search for processes that map an unlinked file is waited for, however long it takes', () => {
  const { fx, clock, runtime, ask, grow, context, retry } = server()
  const maintenance = new Maintenance(context, null)
  const { isHeld } = fx.store.failures
  const nodeId = orphan({ fx, runtime })
  isHeld.push(WAIT_FOR_STORE, WAIT_FOR_STORE)
  assert.equal(ask(forget(nodeId)), undefined)
  assert.equal(grow(2n), undefined)
  clock.nowMs = 5000
  maintenance.onTimer()
  assert.deepEqual(retry(), [])
  assert.deepEqual(isHeld, [], 'it was asked twice')
  maintenance.onEvents()
  assert.deepEqual(retry(), [[2n, 0]])
})

test('once a process was found to map it, the pool is full, also while the store looks again', () => {
  const { fx, clock, runtime, ask, grow, context, retry } = server()
  const maintenance = new Maintenance(context, null)
  const { held, failures } = fx.store
  const nodeId = orphan({ fx, runtime })
  const [object] = [...fx.store.objects()].slice(-1)
  held.add(object ?? assert.fail('it has no object'))
  failures.isHeld.push(WAIT_FOR_STORE)
  assert.equal(ask(forget(nodeId)), undefined)
  assert.equal(grow(2n), undefined)
  clock.nowMs = 5000
  maintenance.onEvents()
  assert.deepEqual(retry(), [[2n, ENOSPC]])
  assert.equal(grow(4n), undefined)
  clock.nowMs = 5020
  failures.isHeld.push(WAIT_FOR_STORE)
  maintenance.onTimer()
  assert.deepEqual(retry(), [[4n, ENOSPC]])
  held.clear()
  maintenance.onTimer()
  assert.equal(grow(6n), 0)
})

test('a next server makes its own search for what the former one had not freed, and waits for it', () => {
  const { fx, clock, runtime, ask, grow, startServer } = server()
  const nodeId = orphan({ fx, runtime })
  fx.store.failures.isHeld.push(WAIT_FOR_STORE, WAIT_FOR_STORE, WAIT_FOR_STORE)
  assert.equal(ask(forget(nodeId)), undefined)
  assert.equal(grow(2n), undefined)
  Object.assign(fx, fixtureOver(fx.journal.replay(), fx.store))
  const next = startServer()
  const maintenance = new Maintenance(next.context, null)
  fx.fs.recover(next.context.internal, (ino) => next.kernel.isReferenced(ino))
  const again = fallocate(blocks(1), { unique: 2n | RESENT, nodeid: nodeIdOf(fx, 'small') })
  assert.equal(next.ask(again), undefined)
  clock.nowMs = 5000
  maintenance.onTimer()
  assert.deepEqual(next.retry(), [])
  maintenance.onEvents()
  assert.deepEqual(next.retry(), [[2n, 0]])
})
