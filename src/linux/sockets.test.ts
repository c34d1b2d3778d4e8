/** Tests that messages and the descriptors in them arrive whole, also when the sender is gone. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EAGAIN, ECONNREFUSED, EMSGSIZE, ENAMETOOLONG, ENOENT, EPIPE, Errno } from '../values/errno.ts'
import { BrokenInvariantError, SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { close } from './descriptors.ts'
import { memfdCreate, readAt, resize, writeAt } from './memory.ts'
import {
  connectStream,
  listenerOf,
  MAX_DESCRIPTORS,
  type Message,
  receiveMessage,
  receiveMessageNow,
  sendMessage,
  shutdownSocket,
  socketPair,
} from './sockets.ts'
import { listenUnix } from './unix-listener.ts'

const textOf = (message: Message | 'ended' | undefined): string | undefined =>
  message === undefined || message === 'ended' ? message : Buffer.from(message.bytes).toString()

function numbered(value: number): Fd {
  const fd = memfdCreate('test', { sealable: false })
  resize(fd, 1)
  writeAt(fd, 0, Uint8Array.of(value))
  return fd
}

test('messages keep their boundaries and their order', () => {
  const [a, b] = socketPair()
  sendMessage(a, Buffer.from('one'))
  sendMessage(a, Buffer.from('three'))
  assert.equal(textOf(receiveMessageNow(b)), 'one')
  assert.equal(textOf(receiveMessageNow(b)), 'three')
  assert.equal(receiveMessageNow(b), undefined)
  close(a)
  assert.equal(receiveMessageNow(b), 'ended')
  close(b)
})

test('what a peer sent arrives whole, also where it ended with messages unread', async () => {
  const [a, b] = socketPair()
  const sent = numbered(7)
  sendMessage(a, Buffer.from('kept'), [sent])
  sendMessage(a, Buffer.from('last'))
  sendMessage(b, Buffer.from('unread'))
  for (const fd of [sent, a]) close(fd)
  const kept = await receiveMessage(b)
  assert.equal(textOf(kept), 'kept')
  const value = new Uint8Array(1)
  const [fd] = kept?.descriptors ?? []
  readAt(fd as Fd, 0, value)
  assert.equal(value[0], 7)
  assert.equal(textOf(await receiveMessage(b)), 'last')
  assert.equal(await receiveMessage(b), undefined)
  for (const end of [fd as Fd, b]) close(end)
})

test('descriptors arrive in order, as many as a message may have, after their sender closed everything', () => {
  const [a, b] = socketPair()
  const sent = Array.from({ length: MAX_DESCRIPTORS }, (_, index) => numbered(index))
  sendMessage(a, Buffer.from('x'), sent)
  sendMessage(a, Buffer.from('y'), sent.slice(0, 1))
  for (const fd of [...sent, a]) close(fd)
  for (const expected of [MAX_DESCRIPTORS, 1]) {
    const message = receiveMessageNow(b)
    assert.ok(message !== undefined && message !== 'ended')
    const values = message.descriptors.map((fd) => {
      const value = new Uint8Array(1)
      readAt(fd, 0, value)
      close(fd)
      return value[0]
    })
    assert.deepEqual(
      values,
      Array.from({ length: expected }, (_, index) => index),
    )
  }
  assert.equal(receiveMessageNow(b), 'ended')
  close(b)
})

test('waiting for a message leaves the event loop free, and ends with the connection', async () => {
  const [a, b] = socketPair()
  const first = receiveMessage(b)
  setTimeout(() => sendMessage(a, Buffer.from('late')), 5)
  assert.equal(textOf(await first), 'late')
  const second = receiveMessage(b)
  setTimeout(() => close(a), 5)
  assert.equal(await second, undefined)
  close(b)
  const [c, d] = socketPair()
  const third = receiveMessage(d)
  setTimeout(() => shutdownSocket(d), 5)
  assert.equal(await third, undefined)
  close(c)
  close(d)
})

test('many may wait at once', async () => {
  const pairs = Array.from({ length: 40 }, () => socketPair())
  const waiting = Promise.all(
    pairs.map(async ([, b], index) => textOf(await receiveMessage(b)) === String(index)),
  )
  for (const [index, [a]] of pairs.entries()) sendMessage(a, Buffer.from(String(index)))
  assert.ok((await waiting).every(Boolean))
  for (const fd of pairs.flat()) close(fd)
})

test('a large message arrives whole, one too large for the reader is an error and closes what came with it', () => {
  const [a, b] = socketPair()
  const large = Buffer.alloc(100_000, 'z')
  sendMessage(a, large)
  assert.equal(textOf(receiveMessageNow(b, 200_000)), large.toString())
  const fd = numbered(1)
  sendMessage(a, large, [fd])
  assert.throws(
    () => receiveMessageNow(b, 10),
    (error) => error instanceof SystemCallError && error.errno === EMSGSIZE,
  )
  const next = numbered(2)
  // The copy that came with the message was closed again: its number is the lowest free one.
  assert.equal(next, fd + 1)
  for (const open of [a, b, fd, next]) close(open)
})

test('a peer that is gone is EPIPE, an empty message or too many descriptors are our own bug', () => {
  const [a, b] = socketPair()
  close(b)
  assert.throws(
    () => sendMessage(a, Buffer.from('x')),
    (error) => error instanceof SystemCallError && error.errno === EPIPE,
  )
  assert.throws(() => sendMessage(a, new Uint8Array(0)), BrokenInvariantError)
  assert.throws(
    () => sendMessage(a, Buffer.from('x'), new Array(MAX_DESCRIPTORS + 1).fill(a)),
    BrokenInvariantError,
  )
  close(a)
})

test('a stream is connected without waiting, and tells which process listens', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sockets-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'listener')
  assert.equal(connectStream(path), ENOENT)
  assert.equal(connectStream(join(folder, 'x'.repeat(108))), ENAMETOOLONG)
  const listener = listenUnix(path)
  const streams: Fd[] = []
  // No process accepts these connections, so the listener's queue is full in the end.
  let last: Fd | Errno
  do {
    last = connectStream(path)
    if (!(last instanceof Errno)) streams.push(last)
  } while (!(last instanceof Errno) && streams.length < 100)
  assert.equal(last, EAGAIN)
  assert.equal(listenerOf(streams[0] as Fd), process.pid)
  for (const fd of [...streams, listener]) close(fd)
  assert.equal(connectStream(path), ECONNREFUSED)
})
