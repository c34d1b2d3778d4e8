#!/usr/bin/env node
/**
 * The process that watches all guests of this host. One at a time: it has a lock. The first start of a guest
 * starts it, and it ends when no guest is left.
 */
import { rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import * as v from 'valibot'
import { joinCgroup } from '../../linux/cgroup.ts'
import { lockFile } from '../../linux/lock-file.ts'
import { fixUmask } from '../../linux/umask.ts'
import { listenUnix } from '../../linux/unix-listener.ts'
import { WATCHER, WATCHER_LOCK, WATCHER_STARTING } from '../../run/paths.ts'
import { Errno } from '../../values/errno.ts'
import { errorText } from '../../values/errors.ts'
import { Watcher } from './watcher.ts'
import { forward } from './watcher-client.ts'
import { type Request, RequestSchema, readLines } from './watcher-messages.ts'

/** Guests that follow one another need no new process each time. */
const IDLE_MS = 300
/** For one that is just ending, or is stopped. */
const PLACE_TIMEOUT_MS = 30_000

fixUmask()
process.title = 'guestmemfs-watcher'
const asked = process.argv[2]
const first = asked === undefined ? undefined : v.parse(RequestSchema, JSON.parse(asked))
const connections = new Set<Socket>()
const watcher = new Watcher(endWhenIdle)
await takePlace()
// Out of the cgroup of the guest whose start has started this process: it watches others as well, and a unit
// that is stopped ends all of its processes. Where the root takes none, as in a container, it stays.
joinCgroup(process.pid, '/')
if (first?.do === 'start') watcher.start(first)
// `listenUnix` makes a socket that only root may connect to.
createServer(accept).listen({ fd: listenUnix(WATCHER) })
rmSync(WATCHER_STARTING, { force: true })
watcher.scan()
endWhenIdle()

/** Resolves when this process is the only one; ends it where another one is that, and takes the request. */
async function takePlace(): Promise<void> {
  const deadline = performance.now() + PLACE_TIMEOUT_MS
  while (lockFile(WATCHER_LOCK) instanceof Errno) {
    const isLate = performance.now() > deadline
    if (first === undefined || isLate || (await forward(first))) process.exit(0)
  }
}

function accept(socket: Socket): void {
  connections.add(socket)
  socket.on('error', () => {}) // 'close' follows
  socket.once('close', () => {
    connections.delete(socket)
    endWhenIdle()
  })
  readLines(socket, (line) => void take(socket, line))
}

async function take(socket: Socket, line: string): Promise<void> {
  let refused: string | null = null
  try {
    await carryOut(socket, v.parse(RequestSchema, JSON.parse(line)))
  } catch (error) {
    refused = errorText(error)
  }
  if (!socket.destroyed) socket.write(`${JSON.stringify({ refused })}\n`)
}

async function carryOut(socket: Socket, request: Request): Promise<void> {
  if (request.do === 'start') watcher.start(request)
  else if (request.do === 'settle') await watcher.settled()
  else socket.once('close', () => watcher.endUpdate(request.name))
}

function endWhenIdle(): void {
  setTimeout(() => {
    if (watcher.isIdle && connections.size === 0) process.exit(0)
  }, IDLE_MS).unref()
}
