/** The work between requests, over a file system in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALIGN } from '../fs/space/alignment.ts'
import { State } from '../fs/state/state.ts'
import {
  blocks,
  type Fixture,
  type FixtureOptions,
  fixture,
  fixtureOver,
  nameAt,
  ok,
  ROOT,
} from '../fs/testing/fixture.ts'
import { MemoryStore } from '../fs/testing/memory-store.ts'
import { PlainJournal } from '../fs/testing/plain-journal.ts'
import { decode } from '../fuse/decode.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { requestBytes } from '../fuse/testing/request-bytes.ts'
import type { Extent, RefusedExtent, Zeroer } from '../stores/store.ts'
import { EBUSY, EHWPOISON, ENODATA, type Errno } from '../values/errno.ts'
import type { Fd, NodeId } from '../values/ids.ts'
import { Context } from './context.ts'
import { KernelView } from './kernel-view.ts'
import { Maintenance } from './maintenance.ts'
import { ParkedRequests } from './parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'

/** No connection: nothing here writes to it. */
const NO_FUSE = -1 as Fd

function server(over: FixtureOptions | Fixture, alignBytes: number | null) {
  const fx = 'fs' in over ? over : fixture(over)
  const runtime = new RuntimeArea(new Uint8Array(RUNTIME_AREA_BYTES))
  const kernel = new KernelView(runtime, NO_FUSE, (ino) => fx.fs.inode(ino))
  const context = new Context({ fs: fx.fs, store: fx.store, kernel, runtime, parked: new ParkedRequests() })
  return { fx, runtime, context, maintenance: new Maintenance(context, alignBytes) }
}

/** A file without a name whose node id the kernel still has. Returns that id. */
function orphan({ fs, file, rq, stat }: Fixture, runtime: RuntimeArea): NodeId {
  const ino = file('orphan', blocks(2))
  runtime.setLookups(ino, 'file', 1)
  assert.equal(fs.unlink(rq(), nameAt(ROOT, 'orphan')), undefined)
  return ((BigInt(stat(ino).generation) << 32n) | BigInt(ino)) as NodeId
}

test('the alignment that a mount asks for is stored once the pool is thawed, and only then', () => {
  const gigantic = { frames: { blocks: 8, first: 3 }, chunkBlocks: 4, totalBlocks: 43 }
  const { fx, maintenance } = server({ clearing: 'ours', ...gigantic }, blocks(8))
  const stored = () => fx.fs.getXattr(ROOT, ALIGN)
  const before = stored()
  assert.equal(fx.fs.freeze(fx.rq()), undefined)
  maintenance.start()
  maintenance.afterReply()
  assert.deepEqual(stored(), before)
  assert.equal(fx.fs.thaw(fx.rq()), undefined)
  maintenance.afterNoReply()
  assert.deepEqual(stored(), before, 'only a reply tells that the thaw is over')
  maintenance.afterReply()
  assert.equal(Buffer.from(ok(stored())).toString(), String(blocks(8)))
  // From then on it is the root's: a later change of it stays.
  assert.equal(fx.fs.removeXattr(fx.rq(), ROOT, ALIGN), undefined)
  maintenance.afterReply()
  assert.equal(stored(), ENODATA)
})

test('what the kernel has forgotten is evicted when the mount is idle', () => {
  const { fx, runtime, context, maintenance } = server({ totalBlocks: 4 }, null)
  const nodeId = orphan(fx, runtime)
  assert.equal(maintenance.hasIdleWork, false)
  context.evictions.forget(nodeId, 1)
  assert.equal(maintenance.hasIdleWork, true)
  maintenance.afterReply()
  assert.equal(fx.fs.statfs().freeBlocks, 2, 'not with the next reply: that caller would wait for it')
  maintenance.whenIdle()
  assert.equal(fx.fs.statfs().freeBlocks, 4)
  assert.equal(maintenance.hasIdleWork, false)
})

test('one eviction at a time is carried out while the next request is on its way', () => {
  const { fx, context, maintenance, runtime } = server({ totalBlocks: 4 }, null)
  maintenance.betweenRequests()
  const nodeIds = ['a', 'b'].map((name) => {
    const ino = fx.file(name, blocks(1))
    runtime.setLookups(ino, 'file', 1)
    assert.equal(fx.fs.unlink(fx.rq(), nameAt(ROOT, name)), undefined)
    return ((BigInt(fx.stat(ino).generation) << 32n) | BigInt(ino)) as NodeId
  })
  for (const nodeId of nodeIds) context.evictions.forget(nodeId, 1)
  assert.equal(fx.fs.statfs().freeBlocks, 2)
  maintenance.betweenRequests()
  assert.equal(fx.fs.statfs().freeBlocks, 3)
  maintenance.betweenRequests()
  assert.equal(fx.fs.statfs().freeBlocks, 4)
  assert.equal(maintenance.hasIdleWork, false)
})

test('the timer frees what a mapping held, and goes off sooner while a request is parked', () => {
  const { fx, runtime, context, maintenance } = server({ totalBlocks: 4 }, null)
  assert.equal(maintenance.timerMs, undefined)
  const nodeId = orphan(fx, runtime)
  assert.equal(maintenance.timerMs, 1000)
  const bytes = requestBytes(17, '', { unique: 2n })
  context.parked.add(decode(Buffer.from(bytes), bytes.length) as HandledRequest)
  assert.equal(maintenance.timerMs, 20)
  context.parked.take()

  maintenance.onTimer()
  assert.equal(fx.fs.statfs().freeBlocks, 2, 'the kernel knows it still')
  const [object] = fx.store.objects()
  assert.ok(object !== undefined)
  fx.store.held.add(object)
  context.evictions.forget(nodeId, 1)
  context.evictions.endAll()
  maintenance.onTimer()
  assert.equal(fx.fs.statfs().freeBlocks, 2, 'a process maps it still')
  fx.store.held.delete(object)
  maintenance.onTimer()
  assert.equal(fx.fs.statfs().freeBlocks, 4)
  assert.equal(maintenance.timerMs, undefined)
})

/** Zeroes an extent when the test says so. */
class ZeroingStore extends MemoryStore {
  underWay: Extent | undefined
  #finished: Extent[] = []
  readonly #refused: RefusedExtent[] = []
  readonly zeroer: Zeroer = {
    progressBytes: 0,
    start: (extent) => {
      if (this.underWay !== undefined) return false
      this.underWay = extent
      return true
    },
    finished: () => this.#finished.splice(0),
    refused: () => this.#refused.splice(0),
  }

  /** As the store's worker has it: nothing is zeroed where a process holds a block. */
  finishUnless(heldBlock: number, errno: Errno): void {
    assert.ok(this.underWay !== undefined)
    const { start, count } = this.underWay
    if (heldBlock < start || heldBlock >= start + count) this.finish()
    else {
      this.#refused.push({ extent: this.underWay, errno })
      this.underWay = undefined
    }
  }

  finish(): void {
    assert.ok(this.underWay !== undefined)
    this.zero(this.underWay)
    this.#finished.push(this.underWay)
    this.underWay = undefined
  }
}

test('blocks that a former owner left are zeroed after the FORGET that freed them, and clean once that is logged', () => {
  const store = new ZeroingStore({ clearing: 'ours', totalBlocks: 4 })
  const fx = fixtureOver(new PlainJournal(4), store)
  const { runtime, context, maintenance } = server(fx, null)
  const zeroed = () => store.underWay?.count
  const nodeId = orphan(fx, runtime)
  maintenance.start()
  assert.equal(zeroed(), undefined, 'all free blocks are clean')
  context.evictions.forget(nodeId, 1)
  context.evictions.endAll()
  maintenance.afterNoReply()
  assert.equal(zeroed(), 2)
  store.finish()
  assert.ok(fx.fs.dirtyExtent(4), 'zeroed, and not logged yet')
  // A frozen pool logs nothing: the extent waits for the thaw.
  assert.equal(fx.fs.freeze(fx.rq()), undefined)
  maintenance.onEvents()
  assert.equal(fx.fs.thaw(fx.rq()), undefined)
  assert.ok(fx.fs.dirtyExtent(4))
  maintenance.onEvents()
  assert.equal(fx.fs.dirtyExtent(4), undefined)
  assert.equal(zeroed(), undefined)
})

test('work beside the server is checked as long as a result of it is missing', () => {
  const { fx, maintenance } = server({ totalBlocks: 4 }, null)
  let [checkMs, checks]: [number | undefined, number] = [undefined, 0]
  const events = {
    fd: undefined,
    drain: () => {},
    get checkMs() {
      return checkMs
    },
    check: () => void checks++,
  }
  Object.assign(fx.store, { events })
  assert.equal(maintenance.timerMs, undefined)
  checkMs = 500
  assert.equal(maintenance.timerMs, 500)
  maintenance.onTimer()
  assert.equal(checks, 1)
})

for (const [what, errno] of [
  ['a process holds', EBUSY],
  ['has a poisoned page', EHWPOISON],
] as const)
  test(`a block that ${what} is left alone, and all others are zeroed`, () => leavesOneAlone(errno))

function leavesOneAlone(errno: Errno): void {
  const [blocksOfPool, held] = [64, 21]
  const store = new ZeroingStore({ clearing: 'ours', totalBlocks: blocksOfPool })
  const state = State.fresh({ seconds: 0, nanoseconds: 0 }, { dirtyBlocks: blocksOfPool })
  const fx = fixtureOver(new PlainJournal(blocksOfPool, state), store)
  const { maintenance } = server(fx, null)
  maintenance.start()
  let tries = 0
  for (; store.underWay !== undefined && tries < 100; tries++) {
    store.finishUnless(held, errno)
    maintenance.onEvents()
  }
  assert.deepEqual(fx.fs.dirtyExtent(blocksOfPool), { start: held, count: 1 })
  assert.equal(fx.fs.dirtyExtent(blocksOfPool, [{ start: held, count: 1 }]), undefined)
  assert.ok(tries < 30, `${tries} tries`)
  // All but the held block can be had.
  const ino = fx.file('ram')
  const grown = fx.fs.setAttributes(fx.rq(), ino, { sizeBytes: blocks(blocksOfPool - 1) })
  assert.equal(ok(grown).sizeBytes, blocks(blocksOfPool - 1))
}

test('a block that can never be zeroed is recorded as bad, and not tried any more', (t) => {
  const clock = { ms: 0 }
  t.mock.method(performance, 'now', () => clock.ms)
  const [totalBlocks, lost] = [8, 5]
  const store = new ZeroingStore({ clearing: 'ours', totalBlocks })
  const state = State.fresh({ seconds: 0, nanoseconds: 0 }, { dirtyBlocks: totalBlocks })
  const fx = fixtureOver(new PlainJournal(totalBlocks, state), store)
  const lines: string[] = []
  const { context } = server(fx, null)
  const maintenance = new Maintenance(context, null, (line) => void lines.push(line))
  maintenance.start()
  for (let seconds = 0; seconds < 20; seconds++) {
    clock.ms = 1000 * seconds
    for (; store.underWay !== undefined; maintenance.onEvents()) store.finishUnless(lost, EHWPOISON)
    if (maintenance.timerMs !== undefined) maintenance.onTimer()
  }
  assert.deepEqual(lines, ['memory has failed at 0xa00000+2M: it is recorded as bad'])
  assert.deepEqual(state.blockStates.runs, [{ start: lost, count: 1, state: 'bad' }])
  assert.deepEqual([store.underWay, maintenance.timerMs], [undefined, undefined])
  assert.equal(fx.fs.statfs().freeBlocks, totalBlocks - 1)
})

test('the log is read before blocks are called clean: what failed while it was zeroed is not', () => {
  const totalBlocks = 4
  const store = new ZeroingStore({ clearing: 'ours', totalBlocks })
  const state = State.fresh({ seconds: 0, nanoseconds: 0 }, { dirtyBlocks: totalBlocks })
  const fx = fixtureOver(new PlainJournal(totalBlocks, state), store)
  const blocksThatFail: number[] = []
  const memoryFailures = {
    fd: 9 as Fd,
    unreadable: undefined,
    logged: () => ({ blocks: blocksThatFail.splice(0), image: [], gaps: 0, isMore: false }),
    suspected: () => [],
  }
  Object.assign(store, { memoryFailures })
  const { maintenance } = server(fx, null)
  assert.equal(maintenance.noticesFd, 9)
  maintenance.start()
  // The kernel logs nothing after this look, and the server does not poll the log.
  maintenance.onNotices()
  assert.deepEqual([maintenance.noticesFd, maintenance.timerMs], [undefined, 1000])
  blocksThatFail.push(1)
  store.finish()
  maintenance.onEvents()
  assert.deepEqual(state.blockStates.runs, [{ start: 1, count: 1, state: 'bad' }])
})
