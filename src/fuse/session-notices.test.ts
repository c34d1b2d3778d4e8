/** What a session follows beside requests, over a socket pair in the place of /dev/fuse. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { close } from '../linux/descriptors.ts'
import { lowerEventfd, makeEventfd, raiseEventfd } from '../linux/eventfd.ts'
import { sendMessage, shutdownSocket, socketPair } from '../linux/sockets.ts'
import { ENOENT } from '../values/errno.ts'
import { type SessionHost, serve } from './session.ts'
import { requestBytes } from './testing/request-bytes.ts'

test('notices are taken in between, with and without work beside the session, as long as they are followed', () => {
  const [notices, events] = [makeEventfd(), makeEventfd()]
  for (const eventsFd of [undefined, events]) {
    const [kernel, device] = socketPair()
    const order: string[] = []
    let follows = true
    raiseEventfd(notices)
    raiseEventfd(events)
    const host: SessionHost = {
      handle: (request, reply) => {
        order.push(request.opcode)
        return reply.error(ENOENT)
      },
      ...(eventsFd && { eventsFd: () => eventsFd }),
      onEvents: () => {
        order.push('event')
        lowerEventfd(events)
      },
      noticesFd: () => (follows ? notices : undefined),
      onNotices: () => {
        order.push('notice')
        // Still readable: a host that follows it no more is not called again.
        if (order.length > 1) follows = false
        else sendMessage(kernel, requestBytes(17))
      },
      timerMs: () => 20,
      onTimer: () => shutdownSocket(kernel),
    }
    assert.equal(serve(device, host), 'unmounted')
    const expected = eventsFd === undefined ? ['notice', 'notice'] : ['notice', 'event', 'notice']
    assert.deepEqual(order, [...expected, 'STATFS'])
    close(kernel)
    close(device)
  }
  close(notices)
  close(events)
})
