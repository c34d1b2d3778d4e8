/**
 * Owns the proof of the session loop, over a socket pair in the place of /dev/fuse: it keeps message boundaries as the device does,
 * and its end of file stands for the end of the connection.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { close } from '../linux/descriptors.ts'
import { receiveMessageNow, sendMessage, shutdownSocket, socketPair } from '../linux/sockets.ts'
import { ENOENT } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { Reply } from './replies.ts'
import { type Handler, hasPending, resend, type SessionOptions, send, serve } from './session.ts'
import { requestBytes, SAMPLES } from './testing/request-bytes.ts'

const INIT_BODY = SAMPLES.find(({ opcode }) => opcode === 'INIT')?.body ?? ''

interface Answer {
  readonly unique: bigint
  readonly error: number
  readonly bytes: Buffer
}

const DESTROY = requestBytes(38, '', { unique: 0xeeeen })

/**
 * The replies to `requests`, in order. A DESTROY is put behind them and ends the connection, its own reply is left out.
 * At most ten messages fit in the socket's queue (net.unix.max_dgram_qlen).
 */
function converse(requests: readonly Uint8Array[], handler: Handler, options: SessionOptions = {}): Answer[] {
  const [kernel, device] = socketPair()
  const endingAtDestroy: SessionOptions = {
    ...options,
    afterReply: (request, delivered) => {
      if (request.opcode === 'DESTROY') shutdownSocket(kernel)
      else options.afterReply?.(request, delivered)
    },
  }
  try {
    for (const request of [...requests, DESTROY]) sendMessage(kernel, request)
    const handle: Handler = (request, reply) =>
      request.opcode === 'DESTROY' ? reply.empty() : handler(request, reply)
    assert.equal(serve(device, handle, endingAtDestroy), 'unmounted')
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
      reply.error(ENOENT)
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
    () => serve(device, () => {}),
    (error) => error instanceof UsageError && /7\.31/.test(error.message),
  )
  assert.deepEqual(outcomes(answersIn(kernel)), [[0x102n, -71]])
  close(kernel)
  close(device)
})

test('bytes that make no sense are answered where somebody waits, and the session goes on', () => {
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
    { report: (line) => lines.push(line) },
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
  const answers = converse(requests, (request) => seen.push(request.opcode))
  assert.equal(seen.length, 3)
  assert.deepEqual(answers, [])
})

test('hooks run on both sides of the write', () => {
  const order: string[] = []
  converse(
    [requestBytes(17)],
    (_, reply) => {
      order.push('handler')
      reply.empty()
    },
    {
      beforeReply: (request) => request.opcode === 'STATFS' && order.push('before'),
      afterReply: (_, delivered) => order.push(`after ${delivered}`),
    },
  )
  assert.deepEqual(order, ['handler', 'before', 'after true'])
})

test('a request may be answered later, from the periodic work', () => {
  const later = new Reply(4096)
  let waiting = false
  const [kernel, device] = socketPair()
  sendMessage(kernel, requestBytes(43, SAMPLES.find(({ opcode }) => opcode === 'FALLOCATE')?.body))
  const end = serve(
    device,
    (request) => {
      waiting = true
      later.begin(request.header)
    },
    {
      periodic: {
        intervalMs: () => (waiting ? 1 : undefined),
        run: () => {
          later.empty()
          assert.ok(send(device, later))
          waiting = false
          shutdownSocket(kernel)
        },
      },
    },
  )
  assert.equal(end, 'unmounted')
  assert.deepEqual(outcomes(answersIn(kernel)), [[0x102n, 0]])
  close(kernel)
  close(device)
})

test('periodic work is done however many requests are waiting', () => {
  const [kernel, device] = socketPair()
  for (let unique = 0; unique < 5; unique++) sendMessage(kernel, requestBytes(17))
  shutdownSocket(kernel)
  const order: string[] = []
  const handler = (_: unknown, reply: Reply): void => {
    const until = performance.now() + 3
    while (performance.now() < until);
    order.push('request')
    reply.empty()
  }
  serve(device, handler, { periodic: { intervalMs: () => 2, run: () => order.push('work') } })
  assert.equal(order.filter((each) => each === 'request').length, 5)
  assert.ok(order.indexOf('work') < order.lastIndexOf('request'), order.join(' '))
  close(kernel)
  close(device)
})

test('what the handler throws comes out, and nothing was answered', () => {
  const [kernel, device] = socketPair()
  sendMessage(kernel, requestBytes(17))
  assert.throws(() =>
    serve(device, () => {
      throw new Error('broken')
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
  const next = (): void => {
    if (left-- > 0) {
      sendMessage(kernel, new Uint8Array(7))
      sendMessage(kernel, requestBytes(2, '0100000000000000'))
    } else shutdownSocket(kernel)
  }
  next()
  serve(device, next, { report: (line) => lines.push(line) })
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
  const options: SessionOptions = {
    idle: {
      isWorkLeft: () => left > 0,
      run: () => {
        order.push('idle')
        left--
        if (left === 0) intervalMs = 1
      },
    },
    periodic: {
      intervalMs: () => intervalMs,
      run: () => {
        order.push('periodic')
        shutdownSocket(kernel)
      },
    },
  }
  for (const unique of [2n, 4n]) sendMessage(kernel, requestBytes(17, '', { unique }))
  const handle: Handler = (request, reply) => {
    order.push(request.opcode)
    reply.error(ENOENT)
  }
  assert.equal(serve(device, handle, options), 'unmounted')
  assert.deepEqual(order, ['STATFS', 'STATFS', 'idle', 'idle', 'periodic'])
  close(kernel)
  close(device)
})
