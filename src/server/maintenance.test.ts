/** The work between requests, over a file system in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALIGN } from '../fs/space/alignment.ts'
import {
  blocks,
  type Fixture,
  type FixtureOptions,
  fixture,
  nameAt,
  ok,
  ROOT,
} from '../fs/testing/fixture.ts'
import { decode } from '../fuse/decode.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { requestBytes } from '../fuse/testing/request-bytes.ts'
import { ENODATA } from '../values/errno.ts'
import type { Fd, NodeId } from '../values/ids.ts'
import { Context } from './context.ts'
import { KernelView } from './kernel-view.ts'
import { Maintenance } from './maintenance.ts'
import { ParkedRequests } from './parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'

/** No connection: nothing here writes to it. */
const NO_FUSE = -1 as Fd

function server(options: FixtureOptions, alignBytes: number | null) {
  const fx = fixture(options)
  const runtime = new RuntimeArea(new Uint8Array(RUNTIME_AREA_BYTES))
  const kernel = new KernelView(runtime, NO_FUSE, (ino) => fx.fs.inode(ino))
  const context = new Context({ fs: fx.fs, store: fx.store, kernel, runtime, parked: new ParkedRequests() })
  return { fx, runtime, context, maintenance: new Maintenance(context, alignBytes) }
}

/** A file without a name that the kernel knows. Returns its node id. */
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
