/**
 * Several requests that a former server had read, sent again in any order to servers that die in turn: each
 * of them is carried out once.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fixture, n, nameAt, ok, ROOT } from '../fs/testing/fixture.ts'
import { decode } from '../fuse/decode.ts'
import { Reply } from '../fuse/replies.ts'
import { type HandledRequest, hasPending, serve } from '../fuse/session.ts'
import { requestBytes } from '../fuse/testing/request-bytes.ts'
import { close } from '../linux/descriptors.ts'
import { sendMessage, shutdownSocket, socketPair } from '../linux/sockets.ts'
import { Errno } from '../values/errno.ts'
import type { Fd, Ino } from '../values/ids.ts'
import { Context } from './context.ts'
import { Dispatcher } from './dispatch.ts'
import { KernelView } from './kernel-view.ts'
import { ParkedRequests } from './parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'
import { Successor } from './successor.ts'

const EPOCH = 1
const RESENT = 1n << 63n
/** The files of a scene were made by requests with lower ids. */
const FIRST = 1000n
/** No connection: nothing here writes to it. */
const NO_FUSE = -1 as Fd

const text = (...words: string[]) => Buffer.from(words.map((word) => `${word}\0`).join(''))
/** Opcode and body of requests in the root. Each succeeds once, and fails when it is carried out again. */
const REQUESTS: readonly (readonly [number, Buffer])[] = [
  [9, Buffer.concat([Buffer.alloc(8), text('made')])], // MKDIR
  [10, text('old')], // UNLINK
  [6, text('link', 'target')], // SYMLINK
  [11, text('empty')], // RMDIR
  [35, Buffer.concat([Buffer.alloc(16), text('created')])], // CREATE
  [12, Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), text('from', 'to')])], // RENAME
]

function request(index: number, resent: boolean): HandledRequest {
  const [number, body] = REQUESTS[index] ?? assert.fail()
  const unique = (FIRST + BigInt(2 * index)) | (resent ? RESENT : 0n)
  const bytes = requestBytes(number, body, { unique, nodeid: 1n })
  const decoded = decode(Buffer.from(bytes), bytes.length)
  assert.notEqual(decoded.opcode, 'malformed')
  return decoded as HandledRequest
}

/** A pool in which each of `REQUESTS` can be carried out, and the kernel that has sent all of them. */
function scene() {
  const fx = fixture()
  // Opened without a backing id: there is no connection to register one with.
  fx.store.ram = { via: 'devmem', mapping: () => ({ via: 'none' }) }
  fx.file('old')
  fx.file('from')
  ok(fx.fs.mkdir(fx.rq({ origin: { unique: 0n, epoch: 0 } }), nameAt(ROOT, 'empty'), 0o700))
  const area = new Uint8Array(RUNTIME_AREA_BYTES)
  new RuntimeArea(area).establish(EPOCH, {})
  const answers = new Map<number, number>()
  const indexOf = ({ header }: HandledRequest) => Number(header.unique - FIRST) / 2

  /** One server, which reads `queue` and dies at its `deathAt`th request, before or after applying it. */
  const serve = (queue: HandledRequest[], isSuccessor: boolean, deathAt: number, applies: boolean): void => {
    const runtime = new RuntimeArea(area)
    // Killed from outside, each of them.
    runtime.resetAttempts()
    const { fs, store, journal } = fx
    const kernel = new KernelView(runtime, NO_FUSE, (ino) => fs.inode(ino))
    const context = new Context({ fs, store, kernel, runtime, parked: new ParkedRequests() })
    const applied = journal.lastOrigin
    const dispatcher = new Dispatcher({ context, runtime, applied, report: assert.fail })
    const port = { resend: () => {}, hasPending: () => queue.length > 0 }
    const successor = isSuccessor ? new Successor(port, runtime, applied) : undefined
    const reply = new Reply(4096)
    let left = deathAt
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      for (const admitted of successor?.admit(next) ?? [next]) {
        const isDeath = --left === 0
        if (isDeath && !applies) return
        reply.begin(admitted.header)
        dispatcher.handle(admitted, reply)
        kernel.beforeReply(admitted.header.unique)
        if (isDeath) return
        kernel.afterReply(true)
        answers.set(indexOf(admitted), Buffer.from(reply.bytes).readInt32LE(4))
      }
  }
  return { fx, answers, serve }
}

const order = fc.shuffledSubarray([...REQUESTS.keys()], {
  minLength: REQUESTS.length,
  maxLength: REQUESTS.length,
})
const life = fc.record({
  order,
  deathAt: fc.integer({ min: 1, max: REQUESTS.length }),
  applies: fc.boolean(),
})

test('requests that are sent again in any order, to servers that die in turn, are carried out once each', () => {
  fc.assert(
    fc.property(fc.array(life, { minLength: 1, maxLength: 5 }), order, (lives, last) => {
      const { fx, answers, serve } = scene()
      for (const [at, { order, deathAt, applies }] of [...lives, undefined].entries().map(withOrder(last))) {
        const unanswered = order.filter((index) => !answers.has(index))
        serve(
          unanswered.map((index) => request(index, at > 0)),
          at > 0,
          deathAt,
          applies,
        )
      }
      assert.deepEqual(
        [...answers].toSorted(([a], [b]) => a - b),
        [...REQUESTS.keys()].map((index) => [index, 0]),
      )
      const found = (name: string) => !(fx.fs.lookup(ROOT, n(name)) instanceof Errno)
      const names = ['made', 'old', 'link', 'empty', 'created', 'from', 'to'].filter(found)
      assert.deepEqual(names, ['made', 'link', 'created', 'to'])
    }),
    {
      numRuns: 300,
      includeErrorInReport: true,
      ...(process.env.SEED ? { seed: Number(process.env.SEED) } : {}),
    },
  )
})

type Life = { order: number[]; deathAt: number; applies: boolean }
/** The last server does not die. */
const withOrder =
  (last: number[]) =>
  ([at, life]: [number, Life | undefined]): [number, Life] => [
    at,
    life ?? { order: last, deathAt: 0, applies: false },
  ]

test('the request that was applied is answered before any other that could change its answer', () => {
  const { answers, serve, fx } = scene()
  const [mkdir, rmdirOfIt] = [request(0, false), 1]
  serve([mkdir], false, 1, true)
  assert.equal(fx.journal.lastOrigin?.unique, mkdir.header.unique)
  const bytes = requestBytes(11, text('made'), { unique: (FIRST + 2n) | RESENT, nodeid: 1n })
  const rmdir = decode(Buffer.from(bytes), bytes.length) as HandledRequest
  serve([rmdir, request(0, true)], true, 0, false)
  assert.deepEqual([answers.get(0), answers.get(rmdirOfIt)], [0, 0])
})

test('a request that kills servers is answered EIO, also where others are sent again before it', () => {
  const area = new Uint8Array(RUNTIME_AREA_BYTES)
  const attempts = [1, 2, 3, 4].map(() => {
    const runtime = new RuntimeArea(area)
    runtime.beginRequest(8n)
    return runtime.beginRequest(6n)
  })
  assert.deepEqual(attempts, [1, 2, 3, 4])
})

/**
 * The server of a connection on which `requests` wait; the ids that the handler got, and the runtime area.
 */
function serveAll(requests: readonly Uint8Array[], pending: bigint) {
  const runtime = new RuntimeArea(new Uint8Array(RUNTIME_AREA_BYTES))
  runtime.establish(EPOCH, {})
  runtime.armPending(pending, [{ ino: 5 as Ino, as: 'file', count: 3 }])
  const [kernel, device] = socketPair()
  const handled: bigint[] = []
  try {
    for (const bytes of requests) sendMessage(kernel, bytes)
    const port = { resend: () => {}, hasPending: () => hasPending(device) }
    const successor = new Successor(port, runtime, undefined)
    serve(device, {
      handle: ({ header }, reply) => {
        handled.push(header.unique)
        return reply.empty()
      },
      admit: (request) => successor.admit(request),
      afterRefusal: (header) => successor.afterRefusal(header),
      timerMs: () => 30,
      // On a busy machine the time may pass before all requests are read.
      onTimer: () => {
        if (!hasPending(device)) shutdownSocket(kernel)
      },
    })
    return { handled, runtime }
  } finally {
    close(kernel)
    close(device)
  }
}

const resentUnlink = requestBytes(10, text('old'), { unique: 1002n | RESENT, nodeid: 1n })
const STATX = 52
for (const [what, last] of [
  ['unknown', requestBytes(STATX, '', { unique: 1004n })],
  ['unknown, sent again', requestBytes(STATX, '', { unique: 1004n | RESENT })],
  ['malformed', requestBytes(10, '', { unique: 1004n | RESENT })],
  ['no request at all', new Uint8Array(7)],
] as const)
  test(`the last request that waits is ${what}: those before it are handled`, () => {
    const { handled, runtime } = serveAll([resentUnlink, last], 1000n)
    assert.deepEqual([handled, runtime.pending, runtime.lookups(5 as Ino, 'file')], [[1002n], undefined, 3])
    const next = requestBytes(11, text('empty'), { unique: 1006n, nodeid: 1n })
    assert.deepEqual(serveAll([resentUnlink, last, next], 1000n).handled, [1002n, 1006n])
  })

test('the request whose reply was lost comes again and is unknown: its lookups do not count', () => {
  const { handled, runtime } = serveAll(
    [resentUnlink, requestBytes(STATX, '', { unique: 1000n | RESENT })],
    1000n,
  )
  assert.deepEqual([handled, runtime.pending, runtime.lookups(5 as Ino, 'file')], [[1002n], undefined, 0])
})
