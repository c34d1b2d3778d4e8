/**
 * Owner and mode of guest RAM that has a node: given once, by create or by chmod on either, and never
 * altered.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, type Fixture, fixture, nameAt, ok, ROOT } from '../fs/testing/fixture.ts'
import { NODES } from '../fs/testing/memory-store.ts'
import { decode } from '../fuse/decode.ts'
import { ANSWERED, Reply } from '../fuse/replies.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { requestBytes } from '../fuse/testing/request-bytes.ts'
import type { NodeRam, Owner } from '../stores/store.ts'
import { ENOMEM, ENOSPC, type Errno } from '../values/errno.ts'
import type { Fd, Ino, ObjectId } from '../values/ids.ts'
import { Context } from './context.ts'
import { Dispatcher } from './dispatch.ts'
import { KernelView } from './kernel-view.ts'
import { Maintenance } from './maintenance.ts'
import { ParkedRequests } from './parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'

const SHOWN_AS_SYMLINK = 1n << 31n
const [FATTR_UID, FATTR_SIZE] = [2, 8]
const [LOOKUP, GETATTR, SETATTR, READLINK, FALLOCATE, SETXATTR] = [1, 3, 4, 5, 43, 21]
const SIZE = 'trusted.guestmemfs.size'

/** A server whose store has nodes, each taken away by every resize of its file, as device-dax needs it. */
function served() {
  const fx = fixture({ clearing: 'ours', totalBlocks: 16 })
  const nodes = new Map<ObjectId, Owner>()
  /** Answered once each by the next changes of a node's owner. */
  const refusals: Errno[] = []
  const ram: NodeRam = {
    ...NODES,
    publish: (object, _, owner) => void (nodes.has(object) || nodes.set(object, owner)),
    owner: (object) => nodes.get(object),
    own: (object, owner) => {
      const refused = nodes.has(object) ? refusals.shift() : undefined
      if (refused === undefined && nodes.has(object)) nodes.set(object, owner)
      return refused
    },
    unpublish: (object) => void nodes.delete(object),
  }
  fx.store.ram = ram
  const { isHeld } = fx.store
  fx.store.isHeld = (object) => {
    nodes.delete(object)
    return isHeld.call(fx.store, object)
  }
  const runtime = new RuntimeArea(new Uint8Array(RUNTIME_AREA_BYTES))
  runtime.establish(1, {})
  const kernel = new KernelView(runtime, -1 as Fd, (ino) => fx.fs.inode(ino))
  const context = new Context({ fs: fx.fs, store: fx.store, kernel, parked: new ParkedRequests(), runtime })
  const dispatcher = new Dispatcher({ context, runtime, applied: undefined, report: () => {} })
  const reply = new Reply(4096)
  let unique = 2n
  const ask = (number: number, body: string | Uint8Array, nodeid: bigint): number => {
    const bytes = requestBytes(number, body, { unique, nodeid })
    unique += 2n
    const request = decode(Buffer.from(bytes), bytes.length) as HandledRequest
    reply.begin(request.header)
    assert.equal(dispatcher.handle(request, reply), ANSWERED)
    return Buffer.from(reply.bytes).readInt32LE(4)
  }
  const { ino, object } = ok(fx.fs.create(fx.rq({ uid: 107, gid: 108 }), nameAt(ROOT, 'ram'), 0o640))
  ok(fx.fs.setAttributes(fx.rq(), ino, { sizeBytes: blocks(2) }))
  const { generation } = fx.stat(ino)
  const link = (BigInt(generation) << 32n) | SHOWN_AS_SYMLINK | BigInt(ino)
  const publish = () => assert.equal(ask(READLINK, '', link), 0)
  const node = () => show(nodes.get(object as ObjectId))
  const chmod = (owner: Owner) => void nodes.set(object as ObjectId, owner)
  publish()
  return { fx, nodes, refusals, ask, ino, link, publish, node, chmod, context }
}

const show = (owner: Owner | undefined) => owner && `${owner.mode.toString(8)} ${owner.uid}:${owner.gid}`
const file = ({ stat }: Pick<Fixture, 'stat'>, ino: Ino) => show(stat(ino))

const GIVEN: Owner = { uid: 107, gid: 107, mode: 0o1600 }

function setattr(valid: number, { size = 0, uid = 0 } = {}): Uint8Array {
  const body = Buffer.alloc(88)
  body.writeUInt32LE(valid, 0)
  body.writeBigUInt64LE(BigInt(size), 16)
  body.writeUInt32LE(uid, 76)
  return body
}

function fallocate(lengthBytes: number): Uint8Array {
  const body = Buffer.alloc(32)
  body.writeBigUInt64LE(BigInt(lengthBytes), 16)
  return body
}

function setSize(text: string): Uint8Array {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(text.length, 0)
  return Buffer.concat([head, Buffer.from(`${SIZE}\0${text}`)])
}

test('a node has the owner and mode that its file was created with', () => {
  const { node, fx, ino } = served()
  assert.deepEqual([node(), file(fx, ino)], ['640 107:108', '640 107:108'])
})

test('owner and mode by chmod and chown stay through every kind of resize', () => {
  for (const [number, body] of [
    [SETATTR, setattr(FATTR_SIZE, { size: blocks(3) })],
    [SETATTR, setattr(FATTR_SIZE, { size: blocks(1) })],
    [FALLOCATE, fallocate(blocks(3))],
    [SETXATTR, setSize(String(blocks(3)))],
  ] as const) {
    const { chmod, ask, link, node, publish, fx, ino } = served()
    chmod(GIVEN)
    const before = fx.stat(ino).sizeBytes
    assert.equal(ask(number, body, link), 0)
    assert.notEqual(fx.stat(ino).sizeBytes, before, 'it was resized')
    assert.equal(node(), undefined, 'a resize takes the node away')
    assert.equal(file(fx, ino), '1600 107:107')
    publish()
    assert.equal(node(), '1600 107:107')
  }
})

test('what is set on the node becomes the file’s at the next lookup, before a freeze, and when the mount ends', () => {
  const looks: Record<string, (setup: ReturnType<typeof served>) => void> = {
    lookup: ({ ask }) => assert.equal(ask(LOOKUP, Buffer.from('ram\0'), 1n), 0),
    getattr: ({ ask, link }) => assert.equal(ask(GETATTR, new Uint8Array(16), link), 0),
    readlink: ({ publish }) => publish(),
    unmount: ({ context }) => new Maintenance(context, null).end(),
  }
  for (const [name, look] of Object.entries(looks)) {
    const setup = served()
    setup.chmod(GIVEN)
    look(setup)
    assert.equal(file(setup.fx, setup.ino), '1600 107:107', name)
  }
})

test('what is set on the file itself is the node’s at once, and stays', () => {
  const { ask, link, node, fx, ino, chmod, publish } = served()
  chmod(GIVEN)
  assert.equal(ask(SETATTR, setattr(FATTR_UID, { uid: 5 }), link), 0)
  assert.deepEqual([node(), file(fx, ino)], ['1600 5:107', '1600 5:107'])
  publish()
  assert.equal(ask(GETATTR, new Uint8Array(16), link), 0)
  assert.deepEqual([node(), file(fx, ino)], ['1600 5:107', '1600 5:107'])
})

test('a change that is refused changes neither', () => {
  const { ask, link, node, fx, ino, publish } = served()
  fx.store.failures.resize.push(ENOMEM)
  const body = setattr(FATTR_UID | FATTR_SIZE, { uid: 5, size: blocks(3) })
  fx.store.isHeld = () => false
  assert.notEqual(ask(SETATTR, body, link), 0)
  publish()
  assert.deepEqual([node(), file(fx, ino)], ['640 107:108', '640 107:108'])
})

test('a change that the node cannot be given is refused, and is there neither now nor at the next look', () => {
  const { ask, link, node, fx, ino, refusals } = served()
  refusals.push(ENOSPC)
  assert.equal(ask(SETATTR, setattr(FATTR_UID, { uid: 5 }), link), -ENOSPC.code)
  assert.equal(ask(GETATTR, new Uint8Array(16), link), 0)
  assert.deepEqual([node(), file(fx, ino)], ['640 107:108', '640 107:108'])
})

test('a change that the file refused, on a node that cannot be given back: it is made anew for the file', () => {
  const { ask, link, node, fx, ino, refusals, nodes, publish } = served()
  fx.journal.limit = fx.journal.records.length
  const give = (fx.store.ram as NodeRam).own
  fx.store.ram = {
    ...(fx.store.ram as NodeRam),
    own: (object, owner) => {
      const failed = give(object, owner)
      refusals.push(ENOSPC)
      return failed
    },
  }
  assert.notEqual(ask(SETATTR, setattr(FATTR_UID, { uid: 5 }), link), 0)
  assert.equal(nodes.size, 0)
  refusals.splice(0)
  publish()
  assert.deepEqual([node(), file(fx, ino)], ['640 107:108', '640 107:108'])
})
