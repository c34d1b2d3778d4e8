/**
 * The session loop over a socket pair in the place of /dev/fuse: it keeps message boundaries as the device
 * does, and its end of file stands for the end of the connection.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { close } from '../linux/descriptors.ts'
import { receiveMessageNow, sendMessage, shutdownSocket, socketPair } from '../linux/sockets.ts'
import { ENOENT } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { Reply } from './replies.ts'
import { type Handler, hasPending, resend, type SessionHost, send, serve } from './session.ts'
import { requestBytes, SAMPLES } from './testing/request-bytes.ts'

const INIT_BODY = SAMPLES.find(({ opcode }) => opcode === 'INIT')?.body ?? ''

interface Answer {
  readonly unique: bigint
  readonly error: number
  readonly bytes: Buffer
}

const DESTROY = requestBytes(38, '', { unique: 0xeeeen })

/**
 * The replies to `requests`, in order. A DESTROY is put behind them and ends the connection, its own reply is
 * left out. At most ten messages fit in the socket's queue (net.unix.max_dgram_qlen).
 */
function converse(
  requests: readonly Uint8Array[],
  handler: Handler,
  hooks: Partial<SessionHost> = {},
): Answer[] {
  const [kernel, device] = socketPair()
  const host: SessionHost = {
    ...hooks,
    handle: (request, reply) => (request.opcode === 'DESTROY' ? reply.empty() : handler(request, reply)),
    afterReply: (request, delivered) => {
      if (request.opcode === 'DESTROY') shutdownSocket(kernel)
      else hooks.afterReply?.(request, delivered)
    },
  }
  try {
    for (const request of [...requests, DESTROY]) sendMessage(kernel, request)
    assert.equal(serve(device, host), 'unmounted')
    return answersIn(kernel).filter(({ unique }) => unique !== 0xeeeen)
  } finally {
    close(kernel)
    close(device)
  }
}

function answersIn(kernel: Fd): Answer[] {
  const answers: Answer[] = []
  for (;;) {
    const message = receiveMessageNow(kernel, 70_000)
    if (message === undefined || message === 'ended') return answers
    const bytes = Buffer.from(message.bytes)
    assert.equal(bytes.readUInt32LE(0), bytes.length)
    answers.push({ unique: bytes.readBigUInt64LE(8), error: bytes.readInt32LE(4), bytes })
  }
}

const outcomes = (answers: Answer[]) => answers.map(({ unique, error }) => [unique, error])

test('each request reaches the handler and its reply the kernel, in order', () => {
  const seen: string[] = []
  const answers = converse(
    [requestBytes(1, '6600', { unique: 2n }), requestBytes(17, '', { unique: 4n })],
    (request, reply) => {
      seen.push(request.opcode)
      return reply.error(ENOENT)
    },
  )
  assert.deepEqual(seen, ['LOOKUP', 'STATFS'])
  assert.deepEqual(outcomes(answers), [
    [2n, -2],
    [4n, -2],
  ])
})

test('INIT is answered by the session, and the outcome is handed out before the kernel has it', () => {
  let flags2: number | undefined
  const answers = converse([requestBytes(26, INIT_BODY)], () => assert.fail("INIT is not the handler's"), {
    negotiated: (session) => {
      flags2 = session.flags2
    },
  })
  assert.equal(flags2, 0xa0)
  assert.equal(answers.length, 1)
  assert.equal(answers[0]?.bytes.length, 80)
  assert.equal(answers[0]?.bytes.readUInt32LE(16 + 4), 40)
})

test('a kernel we cannot serve gets EPROTO, we get the reason', () => {
  const [kernel, device] = socketPair()
  sendMessage(kernel, requestBytes(26, INIT_BODY.replace('2d000000', '1f000000')))
  assert.throws(
    () => serve(device, { handle: () => undefined }),
    (error) => error instanceof UsageError && /7\.31/.test(error.message),
  )
  assert.deepEqual(outcomes(answersIn(kernel)), [[0x102n, -71]])
  close(kernel)
  close(device)
})

test('malformed requests are answered where a caller waits, and the session goes on', () => {
  const lines: string[] = []
  const answers = converse(
    [
      new Uint8Array(7),
      requestBytes(1, '', { unique: 2n }),
      requestBytes(2, '00', { unique: 0n }),
      requestBytes(39, '', { unique: 6n }),
      requestBytes(17, '', { unique: 8n }),
    ],
    (_, reply) => reply.empty(),
    { report: (line) => void lines.push(line) },
  )
  assert.deepEqual(outcomes(answers), [
    [2n, -5],
    [6n, -38],
    [8n, 0],
  ])
  assert.equal(lines.length, 3)
})

test('FORGET, BATCH_FORGET and INTERRUPT get no reply', () => {
  const seen: string[] = []
  const samples = SAMPLES.filter(({ opcode }) => ['FORGET', 'BATCH_FORGET', 'INTERRUPT'].includes(opcode))
  const requests = samples.map(({ number, body }) => requestBytes(number, body))
  const answers = converse(requests, (request) => {
    seen.push(request.opcode)
    return undefined
  })
  assert.equal(seen.length, 3)
  assert.deepEqual(answers, [])
})

test('hooks run on both sides of the write, or after a handler that gave no reply', () => {
  const order: string[] = []
  converse(
    [requestBytes(17), requestBytes(2, '0100000000000000')],
    (request, reply) => {
      order.push('handler')
      return request.opcode === 'FORGET' ? undefined : reply.empty()
    },
    {
      beforeReply: (request) => void (request.opcode === 'STATFS' && order.push('before')),
      afterReply: (_, delivered) => void order.push(`after ${delivered}`),
      afterNoReply: (request) => void order.push(`no reply to ${request.opcode}`),
    },
  )
  assert.deepEqual(order, ['handler', 'before', 'after true', 'handler', 'no reply to FORGET'])
})

test('a request may be answered later, from the timer', () => {
  const later = new Reply(4096)
  let waiting = false
  const [kernel, device] = socketPair()
  sendMessage(kernel, requestBytes(43, SAMPLES.find(({ opcode }) => opcode === 'FALLOCATE')?.body))
  const end = serve(device, {
    handle: (request) => {
      waiting = true
      later.begin(request.header)
      return undefined
    },
    timerMs: () => (waiting ? 1 : undefined),
    onTimer: () => {
      later.empty()
      assert.ok(send(device, later))
      waiting = false
      shutdownSocket(kernel)
    },
  })
  assert.equal(end, 'unmounted')
  assert.deepEqual(outcomes(answersIn(kernel)), [[0x102n, 0]])
  close(kernel)
  close(device)
})

test('the timer goes off however many requests are waiting', () => {
  const [kernel, device] = socketPair()
  for (let unique = 0; unique < 5; unique++) sendMessage(kernel, requestBytes(17))
  shutdownSocket(kernel)
  const order: string[] = []
  const handle: Handler = (_, reply) => {
    const until = performance.now() + 3
    while (performance.now() < until);
    order.push('request')
    return reply.empty()
  }
  serve(device, { handle, timerMs: () => 2, onTimer: () => void order.push('timer') })
  assert.equal(order.filter((each) => each === 'request').length, 5)
  assert.ok(order.indexOf('timer') < order.lastIndexOf('request'), order.join(' '))
  close(kernel)
  close(device)
})

test('what the handler throws comes out, and nothing was answered', () => {
  const [kernel, device] = socketPair()
  sendMessage(kernel, requestBytes(17))
  assert.throws(() =>
    serve(device, {
      handle: () => {
        throw new Error('broken')
      },
    }),
  )
  assert.deepEqual(answersIn(kernel), [])
  close(kernel)
  close(device)
})

test('RESEND is a notification with code 7; pending is told without reading', () => {
  const [kernel, device] = socketPair()
  assert.equal(resend(device), undefined)
  assert.deepEqual(outcomes(answersIn(kernel)), [[0n, 7]])
  assert.equal(hasPending(device), false)
  sendMessage(kernel, requestBytes(17))
  assert.equal(hasPending(device), true)
  close(kernel)
  close(device)
})

test('a line that comes all the time is reported ever more rarely', () => {
  const lines: string[] = []
  const [kernel, device] = socketPair()
  let left = 1000
  const next = (): undefined => {
    if (left-- > 0) {
      sendMessage(kernel, new Uint8Array(7))
      sendMessage(kernel, requestBytes(2, '0100000000000000'))
    } else shutdownSocket(kernel)
  }
  next()
  serve(device, { handle: () => next(), report: (line) => void lines.push(line) })
  // The first ten, then 16, 32 … 512.
  assert.equal(lines.length, 10 + 6)
  close(kernel)
  close(device)
})

test('idle work is done when nothing is asked for, and not before; a shorter interval counts at once', () => {
  const [kernel, device] = socketPair()
  const order: string[] = []
  let left = 2
  let intervalMs = 3_600_000
  const host: SessionHost = {
    handle: (request, reply) => {
      order.push(request.opcode)
      return reply.error(ENOENT)
    },
    hasIdleWork: () => left > 0,
    whenIdle: () => {
      order.push('idle')
      left--
      if (left === 0) intervalMs = 1
    },
    timerMs: () => intervalMs,
    onTimer: () => {
      order.push('timer')
      shutdownSocket(kernel)
    },
  }
  for (const unique of [2n, 4n]) sendMessage(kernel, requestBytes(17, '', { unique }))
  assert.equal(serve(device, host), 'unmounted')
  assert.deepEqual(order, ['STATFS', 'STATFS', 'idle', 'idle', 'timer'])
  close(kernel)
  close(device)
})
