/**
 * The dispatcher over a file system in memory: what it answers, parks and retries, and what the next server
 * makes of it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, type Fixture, fixture, n, nameAt, ok, ROOT } from '../fs/testing/fixture.ts'
import { NODES } from '../fs/testing/memory-store.ts'
import { ANSWERED } from '../fuse/replies.ts'
import { ENOENT } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import type { Operations } from './context.ts'
import { OPERATIONS } from './dispatch.ts'
import {
  connection,
  create,
  fallocate,
  forget,
  getattr,
  interrupt,
  nodeIdOf,
  RESENT,
  request,
  statfs,
} from './testing/connection.ts'

const ERROR = { EINTR: -4, EIO: -5, EISDIR: -21, ELOOP: -40, ESTALE: -116 }

/** A pool whose blocks are all dirty, with an empty file. */
function dirtyPool() {
  const fx = fixture({ clearing: 'ours', totalBlocks: 4 })
  const { ino } = ok(fx.fs.create(fx.rq(), nameAt(ROOT, 'former'), 0o600))
  ok(fx.fs.setAttributes(fx.rq(), ino, { sizeBytes: blocks(4) }))
  ok(fx.fs.unlink(fx.rq(), nameAt(ROOT, 'former')) ?? 0)
  ok(fx.fs.evict(fx.rq(), ino))
  fx.file('new')
  return fx
}

/** What a zeroing worker and `Zeroing` do together. */
function zeroAll({ fs, store, rq }: Fixture) {
  for (let dirty = fs.dirtyExtent(16); dirty !== undefined; dirty = fs.dirtyExtent(16)) {
    store.zero(dirty)
    ok(fs.markClean(rq(), dirty) ?? 0)
  }
}

test('an operation that has to wait is parked, and retried until it is answered', () => {
  const fx = dirtyPool()
  let nowMs = 0
  const { parked, ask, retry } = connection(fx, () => nowMs).startServer()
  const asked = fallocate(blocks(2), { unique: 2n, nodeid: nodeIdOf(fx, 'new') })
  assert.equal(ask(asked), undefined)
  assert.equal(parked.size, 1)
  assert.deepEqual(retry(), [], 'nothing is zeroed yet')
  nowMs = 1_000_000
  assert.deepEqual(retry(), [], 'a wait for slow work has no end')
  assert.equal(parked.size, 1)
  zeroAll(fx)
  assert.deepEqual(retry(), [[2n, 0]])
  assert.equal(parked.size, 0)
  assert.equal(ok(fx.fs.lookup(ROOT, n('new'))).sizeBytes, blocks(2))
})

test('a parked request whose caller got a signal is answered EINTR, and others wait on', () => {
  const fx = dirtyPool()
  const { parked, ask, retry } = connection(fx).startServer()
  const nodeid = nodeIdOf(fx, 'new')
  for (const unique of [2n, 4n]) assert.equal(ask(fallocate(blocks(2), { unique, nodeid })), undefined)
  assert.equal(ask(interrupt(2n)), undefined, 'an INTERRUPT has no reply')
  assert.deepEqual(retry(), [[2n, ERROR.EINTR]])
  assert.equal(parked.size, 1)
  zeroAll(fx)
  assert.deepEqual(retry(), [[4n, 0]])
})

test('memory that the kernel has forgotten already is not waited for', () => {
  const fx = fixture({ totalBlocks: 4 })
  fx.file('small')
  const large = fx.file('large', blocks(4))
  const { ask, kernel, context, parked } = connection(fx).startServer()
  const forgotten = nodeIdOf(fx, 'large')
  kernel.stageLookup({ inode: fx.stat(large), as: 'file' })
  kernel.beforeReply(3n)
  kernel.afterReply(true)
  ok(fx.fs.unlink(fx.rq(), nameAt(ROOT, 'large')) ?? 0)
  assert.equal(ask(forget(forgotten)), undefined)
  assert.equal(context.evictions.size, 1)
  assert.equal(ask(fallocate(blocks(4), { unique: 2n, nodeid: nodeIdOf(fx, 'small') })), 0)
  assert.deepEqual([context.evictions.size, parked.size], [0, 0])
})

test('a request that a former server applied is answered again, not applied again', () => {
  const fx = fixture()
  // Opened without a backing id: there is no connection to register one with.
  fx.store.ram = { via: 'devmem', mapping: () => ({ via: 'none' }) }
  const { startServer, reply } = connection(fx)
  // It dies before its reply is sent.
  assert.equal(startServer().ask(create('file', { unique: 2n })), 0)
  const [records, first] = [fx.journal.records.length, Buffer.from(reply.bytes)]
  assert.equal(startServer().ask(create('file', { unique: 2n | RESENT })), 0)
  assert.equal(fx.journal.records.length, records)
  assert.deepEqual(Buffer.from(reply.bytes).subarray(16), first.subarray(16), 'the same entry, opened again')
  // The same name asked for by another request is there already, and so is one sent again that was never
  // applied.
  assert.equal(startServer().ask(create('file', { unique: 4n })), -17)
  assert.equal(startServer().ask(create('file', { unique: 4n | RESENT })), -17)
  assert.equal(fx.journal.records.length, records)
})

test('a new file that the kernel does not let us open is not made', () => {
  const fx = fixture()
  const { ask } = connection(fx).startServer()
  // There is no connection to register a backing id with.
  assert.equal(ask(create('file', { unique: 2n })), -9)
  assert.equal(fx.fs.lookup(ROOT, n('file')), ENOENT)
  assert.deepEqual([fx.fs.orphanCount, [...fx.store.objects()]], [0, []])
})

test('a server that dies while it takes such a file away leaves that to the next one', () => {
  for (const deadly of [1, 2, 3]) {
    const fx = fixture()
    const { startServer } = connection(fx)
    const first = startServer()
    const { journal } = fx
    const commit = journal.commit.bind(journal)
    let records = 0
    journal.commit = (...record) => {
      commit(...record)
      if (++records === deadly) throw new Error('it dies')
    }
    assert.throws(() => first.ask(create('file', { unique: 2n })), /it dies/)
    journal.commit = commit
    fx.fs.recover({ origin: journal.lastOrigin ?? assert.fail('nothing is logged') })
    assert.equal(startServer().ask(create('file', { unique: 2n | RESENT })), -9, `record ${deadly}`)
    assert.equal(fx.fs.lookup(ROOT, n('file')), ENOENT)
    assert.deepEqual([fx.fs.orphanCount, [...fx.store.objects()]], [0, []])
  }
})

test('a request that no kernel sends is refused: an open of no file, an id that was never given', () => {
  const fx = fixture()
  const { ask } = connection(fx).startServer()
  const open = (nodeid: bigint, unique: bigint) => ask(request(14, new Uint8Array(8), { unique, nodeid }))
  assert.equal(open(1n, 2n), ERROR.EISDIR)
  ok(fx.fs.symlink(fx.rq(), nameAt(ROOT, 'link'), n('anywhere')))
  assert.equal(open(nodeIdOf(fx, 'link'), 4n), ERROR.ELOOP)
  // Guest RAM as a symlink: this store has none.
  fx.file('file')
  const asSymlink = nodeIdOf(fx, 'file') | (1n << 31n)
  assert.equal(ask(request(5, '', { unique: 6n, nodeid: asSymlink })), ERROR.ESTALE)
  assert.equal(ask(getattr({ unique: 8n, nodeid: asSymlink })), ERROR.ESTALE)
  fx.store.ram = NODES
  assert.equal(ask(getattr({ unique: 10n, nodeid: asSymlink })), 0)
  assert.equal(ask(getattr({ unique: 12n, nodeid: nodeIdOf(fx, 'link') | (1n << 31n) })), ERROR.ESTALE)
})

test('a request at which three servers died is answered EIO by the fourth, and any other is served', () => {
  const { startServer, reports } = connection(fixture())
  let deaths = 0
  const deadly: Operations = {
    ...OPERATIONS,
    STATFS() {
      deaths++
      throw new Error('a server dies of this')
    },
  }
  for (const unique of [2n, 2n | RESENT, 2n | RESENT])
    assert.throws(() => startServer(deadly).ask(statfs({ unique })), /dies of this/)
  const fourth = startServer(deadly)
  assert.equal(fourth.ask(statfs({ unique: 2n | RESENT })), ERROR.EIO)
  assert.equal(deaths, 3)
  assert.deepEqual(reports, ['STATFS 2 ended 3 servers: answered EIO'])
  assert.equal(fourth.ask(getattr({ unique: 4n, nodeid: 1n })), 0)
  assert.throws(() => fourth.ask(statfs({ unique: 6n })), /dies of this/)
})

test('an operation whose result and reply contradict each other is found', () => {
  const { startServer } = connection(fixture())
  const withStatfs = (STATFS: Operations['STATFS']) => startServer({ ...OPERATIONS, STATFS })
  const broken = (message: RegExp) => (error: unknown) =>
    error instanceof BrokenInvariantError && message.test(error.message)
  assert.throws(
    () => withStatfs(() => ANSWERED).ask(statfs({ unique: 2n })),
    broken(/STATFS 2 was answered without a reply/),
  )
  const fillsAndRefuses: Operations['STATFS'] = (_context, _request, reply) => {
    reply.empty()
    return ENOENT
  }
  assert.throws(
    () => withStatfs(fillsAndRefuses).ask(statfs({ unique: 4n })),
    broken(/STATFS 4 has a reply, and came to ENOENT/),
  )
  // @ts-expect-error: an operation that forgets to return what came of it does not compile.
  const fillsAndForgets: Operations['STATFS'] = (_context, _request, reply) => void reply.empty()
  assert.throws(() => withStatfs(fillsAndForgets).ask(statfs({ unique: 6n })), broken(/came to nothing/))
})
