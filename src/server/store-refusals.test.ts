/**
 * Every call of every facet of a store that can fail while a request is served, with every errno that the
 * kernel has for it: the caller gets that errno and nothing has changed, or the call only looked, or gave
 * memory back, and then the request succeeds. Asked again, it does what it would have done at first.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FaultyStore } from '../fs/testing/faulty-store.ts'
import { blocks, fixtureOver, nameAt, ok, ROOT } from '../fs/testing/fixture.ts'
import { NODES } from '../fs/testing/memory-store.ts'
import { PlainJournal } from '../fs/testing/plain-journal.ts'
import { decode } from '../fuse/decode.ts'
import { ANSWERED, Reply } from '../fuse/replies.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { requestBytes } from '../fuse/testing/request-bytes.ts'
import type { FileData, Handover, NodeRam, Owner, Store } from '../stores/store.ts'
import { EAGAIN, EDQUOT, EFBIG, EINTR, EIO, ENOMEM, ENOSPC, EPERM, type Errno } from '../values/errno.ts'
import type { Fd, ObjectId } from '../values/ids.ts'
import { HANDOVER_XATTR } from '../values/xattr-names.ts'
import { Context } from './context.ts'
import { Dispatcher } from './dispatch.ts'
import { KernelView } from './kernel-view.ts'
import { ParkedRequests } from './parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'

const ERRNOS = [EIO, ENOMEM, ENOSPC, EFBIG, EINTR, EAGAIN, EDQUOT, EPERM]
const TEXT = Buffer.from('some text')

/** Calls that answer an errno. The compiler refuses a name that is missing here, or is no such call. */
type Failing<F> = {
  [K in keyof F]: F[K] extends (...words: never[]) => infer R ? (Errno extends R ? K : never) : never
}[keyof F]
type Calls = Failing<Store> | Failing<FileData> | Failing<NodeRam> | Failing<Handover>
const REACHED: Readonly<Record<Exclude<Calls, undefined>, 'by a request' | 'never by a request'>> = {
  create: 'by a request',
  resize: 'by a request',
  read: 'by a request',
  write: 'by a request',
  punchHole: 'by a request',
  seek: 'by a request',
  publish: 'by a request',
  owner: 'by a request',
  own: 'by a request',
  unpublish: 'by a request',
  preserveImage: 'by a request',
  // It only decides whether the step may begin, without a call of the kernel.
  refusal: 'never by a request',
}

/** Guest RAM as a file of its own, or as a node that a resize takes away. */
type Via = 'passthrough' | 'dax-node'

function served(via: Via) {
  const store = new FaultyStore({ clearing: 'ours', totalBlocks: 16 })
  const nodes = new Map<ObjectId, Owner>()
  if (via === 'dax-node') store.ram = nodesOver(store, nodes)
  const handover: Handover = {
    status: { step: 'none', state: 'idle', objects: 0, preserved: 0, failure: undefined },
    refusal: () => undefined,
    preserve: () => {},
    preserveImage: () => store.refusal('preserveImage'),
    unpreserve: () => {},
    recover: () => {},
    holeBytes: () => 0,
    absent: () => 0,
  }
  Object.assign(store, { handover })
  const fx = fixtureOver(new PlainJournal(16), store)
  const runtime = new RuntimeArea(new Uint8Array(RUNTIME_AREA_BYTES))
  runtime.establish(1, {})
  const kernel = new KernelView(runtime, -1 as Fd, (ino) => fx.fs.inode(ino))
  const context = new Context({ fs: fx.fs, store, kernel, parked: new ParkedRequests(), runtime })
  const dispatcher = new Dispatcher({ context, runtime, applied: undefined, report: () => {} })
  const reply = new Reply(4096)
  let unique = 2n
  /** The errno of the reply, 0 or negative, and its body. */
  const ask = (number: number, body: Uint8Array, nodeid: bigint): { status: number; answer: Buffer } => {
    const bytes = requestBytes(number, body, { unique, nodeid })
    unique += 2n
    const request = decode(Buffer.from(bytes), bytes.length) as HandledRequest
    reply.begin(request.header)
    assert.equal(dispatcher.handle(request, reply), ANSWERED)
    const answer = Buffer.from(reply.bytes)
    return { status: answer.readInt32LE(4), answer: answer.subarray(16) }
  }
  const lookup = (name: string): bigint => ask(1, Buffer.from(`${name}\0`), 1n).answer.readBigUInt64LE()
  const text = fx.file('text')
  ok(fx.fs.write(fx.rq(), text, 0, TEXT))
  const { ino, object } = ok(fx.fs.create(fx.rq({ uid: 107, gid: 108 }), nameAt(ROOT, 'ram'), 0o640))
  ok(fx.fs.setAttributes(fx.rq(), ino, { sizeBytes: blocks(2) }))
  const isNode = via === 'dax-node'
  if (isNode) assert.equal(ask(5, new Uint8Array(), lookup('ram')).status, 0)
  return { fx, store, nodes, ask, lookup, object: object as ObjectId }
}
type Setup = ReturnType<typeof served>

function nodesOver(store: FaultyStore, nodes: Map<ObjectId, Owner>): NodeRam {
  const { resize } = store
  store.resize = (object, to) => {
    const refused = resize.call(store, object, to)
    if (refused === undefined) nodes.delete(object)
    return refused
  }
  return {
    ...NODES,
    publish: (object, _, owner) => {
      const refused = store.refusal('publish')
      if (refused === undefined && !nodes.has(object)) nodes.set(object, owner)
      return refused
    },
    owner: (object) => store.refusal('owner') ?? nodes.get(object),
    own: (object, owner) => {
      const refused = nodes.has(object) ? store.refusal('own') : undefined
      if (refused === undefined && nodes.has(object)) nodes.set(object, owner)
      return refused
    },
    unpublish: (object) => {
      const refused = store.refusal('unpublish')
      if (refused === undefined) nodes.delete(object)
      return refused
    },
  }
}

/** `exact`: with the times, and the blocks of each file, of which a second attempt may take others. */
function dump({ fx, nodes }: Setup, exact: boolean): unknown {
  const inodes = [...fx.journal.state.inodes.values()].map((inode) => {
    const { atime, mtime, ctime, generation, extents, ...rest } = inode
    const isText = inode.kind === 'file' && !inode.guestRam
    const bytes = Buffer.alloc(isText ? Math.min(inode.sizeBytes, 4096) : 0)
    if (isText) ok(fx.fs.read(inode.ino, 0, bytes))
    return {
      ...rest,
      bytes: bytes.toString('latin1'),
      exactly: exact ? [atime, mtime, ctime, generation, extents] : [],
    }
  })
  // Any call may take a node away, and the next look makes it anew: as it is for its file.
  const strays = [...nodes].filter(([object, owner]) => {
    const file = [...fx.journal.state.inodes.values()].find((inode) => inode.object === object)
    return file?.uid !== owner.uid || file.gid !== owner.gid || file.mode !== owner.mode
  })
  const names = [...ok(fx.fs.readDirectory(ROOT, 2))].map(({ name, ino }) => [name, ino])
  return structuredClone({ inodes, names, strayNodes: strays, use: fx.fs.statfs() })
}

function bytesOf(
  length: number,
  fields: readonly (readonly [at: number, value: number | bigint])[],
  ...rest: Uint8Array[]
): Buffer {
  const head = Buffer.alloc(length)
  for (const [at, value] of fields)
    if (typeof value === 'bigint') head.writeBigUInt64LE(value, at)
    else head.writeUInt32LE(value, at)
  return Buffer.concat([head, ...rest])
}

const [FATTR_UID, FATTR_SIZE] = [2, 8]
const setSize = (size: number, valid = FATTR_SIZE) =>
  bytesOf(88, [
    [0, valid],
    [16, BigInt(size)],
    [76, 5],
  ])
const write = (offset: number) =>
  bytesOf(
    40,
    [
      [8, BigInt(offset)],
      [16, TEXT.length],
    ],
    TEXT,
  )
const fallocate = (mode: number, offset: number, length: number) =>
  bytesOf(32, [
    [8, BigInt(offset)],
    [16, BigInt(length)],
    [24, mode],
  ])
const setxattr = (name: string, value: string) =>
  bytesOf(8, [[0, value.length]], Buffer.from(`${name}\0${value}`))

interface Asked {
  readonly number: number
  readonly body: Uint8Array
  /** The name that it is about; undefined: the root. */
  readonly name?: string
  readonly freeze?: true
}

/** Requests that reach the store, some in several ways. Numbers: enum fuse_opcode. */
const REQUESTS: Readonly<Record<string, Asked>> = {
  LOOKUP: { number: 1, body: Buffer.from('ram\0') },
  GETATTR: { number: 3, body: Buffer.alloc(16), name: 'ram' },
  'SETATTR, RAM grows': { number: 4, body: setSize(blocks(3)), name: 'ram' },
  'SETATTR, RAM shrinks': { number: 4, body: setSize(blocks(1)), name: 'ram' },
  'SETATTR, a file becomes RAM': { number: 4, body: setSize(blocks(2)), name: 'empty' },
  'SETATTR, a file shrinks': { number: 4, body: setSize(3), name: 'text' },
  'SETATTR, owner': { number: 4, body: setSize(0, FATTR_UID), name: 'ram' },
  'SETATTR, owner and size': { number: 4, body: setSize(blocks(3), FATTR_UID | FATTR_SIZE), name: 'ram' },
  READLINK: { number: 5, body: Buffer.alloc(0), name: 'ram' },
  UNLINK: { number: 10, body: Buffer.from('text\0') },
  CREATE: {
    number: 35,
    body: bytesOf(
      16,
      [
        [0, 0x80c2],
        [4, 0o100644],
      ],
      Buffer.from('new\0'),
    ),
  },
  READ: { number: 15, body: bytesOf(40, [[16, 100]]), name: 'text' },
  WRITE: { number: 16, body: write(2), name: 'text' },
  'WRITE, a file grows': { number: 16, body: write(blocks(1)), name: 'text' },
  'WRITE, the first bytes': { number: 16, body: write(0), name: 'empty' },
  'FALLOCATE, a hole': { number: 43, body: fallocate(3, 1, 4), name: 'text' },
  'FALLOCATE, more': { number: 43, body: fallocate(0, 0, blocks(2)), name: 'text' },
  LSEEK: {
    number: 46,
    body: bytesOf(24, [
      [8, 0n],
      [16, 4],
    ]),
    name: 'text',
  },
  'SETXATTR, size': { number: 21, body: setxattr('trusted.guestmemfs.size', String(blocks(3))), name: 'ram' },
  'SETXATTR, the image': { number: 21, body: setxattr(HANDOVER_XATTR, 'image'), freeze: true },
}

function prepared(via: Via, { name, freeze }: Asked): { setup: Setup; nodeid: bigint } {
  const setup = served(via)
  setup.fx.file('empty')
  const nodeid = name === undefined ? 1n : setup.lookup(name)
  if (freeze)
    ok(setup.fx.fs.setXattr(setup.fx.rq(), ROOT, 'trusted.guestmemfs.frozen' as never, Buffer.from('1'), 0))
  return { setup, nodeid }
}

const seen = new Set<string>()

for (const via of ['passthrough', 'dax-node'] as const)
  for (const [title, asked] of Object.entries(REQUESTS))
    test(`${title}, RAM by ${via}: each call of the store fails with each errno`, () => {
      const { number, body } = asked
      const whole = prepared(via, asked)
      const { status: wanted } = whole.setup.ask(number, body, whole.nodeid)
      const after = dump(whole.setup, false)
      for (const errno of ERRNOS)
        for (const lasts of errno === EIO ? [false, true] : [false])
          for (let at = 1; ; at++) {
            const { setup, nodeid } = prepared(via, asked)
            const before = dump(setup, true)
            setup.store.arm({ at, errno, lasts })
            const { status } = setup.ask(number, body, nodeid)
            const failed = [...setup.store.failed]
            setup.store.arm(undefined)
            if (failed.length === 0) break
            for (const call of failed) seen.add(call)
            const how = `${failed} failed with ${errno} at ${at}${lasts ? ' and on' : ''}`
            if (status !== wanted) {
              assert.equal(status, -errno.code, how)
              assert.deepEqual(dump(setup, true), before, how)
              assert.equal(setup.ask(number, body, nodeid).status, wanted, how)
            }
            setup.fx.fs.retryShrinks()
            assert.deepEqual(dump(setup, false), after, how)
          }
    })

test('no call that can fail was left out', () => {
  const reached = Object.entries(REACHED).filter(([, how]) => how === 'by a request')
  assert.deepEqual([...seen].sort(), reached.map(([call]) => call).sort())
})
