/**
 * One server process, from its start to its last message: sends it the pool's descriptors, and receives those
 * that it creates. The keeper decides what follows from its end.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { compileCacheEnvironment } from '../linux/compile-cache.ts'
import { close } from '../linux/descriptors.ts'
import { isMainThreadAlive, killChild, setOomScore } from '../linux/process.ts'
import { receiveMessage, sendMessage, socketPair } from '../linux/sockets.ts'
import {
  DESCRIPTORS_PER_MESSAGE,
  decodeMessage,
  encodeMessage,
  MAX_MESSAGE_BYTES,
  PROTOCOL,
  type Protocol,
  protocolProblem,
  type ToKeeper,
  type ToServer,
} from '../server/messages.ts'
import { formatTimeout } from '../values/duration.ts'
import { errorText, UsageError } from '../values/errors.ts'
import type { HandoverStep } from '../values/handover-step.ts'
import type { Fd, ObjectId } from '../values/ids.ts'
import { LATE, within } from '../values/within.ts'
import type { Areas } from './areas.ts'
import type { MemfdTable } from './memfd-table.ts'
import { putServerFirst } from './server-nice.ts'

/**
 * `main.ts` in the sources, `main.js` in the built package: the same directory layout, the same extension as
 * this file.
 */
const SERVER_MAIN = fileURLToPath(new URL(`../server/main${import.meta.url.slice(-3)}`, import.meta.url))

/** The number of the socket in the server: the first after its standard streams. */
export const SERVER_SOCKET = 3 as Fd

/** Less than `mount` waits: the former server goes on where the next one hangs. */
const OPEN_TIMEOUT_MS = 30_000

/**
 * V8 lets new objects take tens of megabytes and old ones grow with them, and gives memory back in tasks that
 * a thread in a blocking loop never runs: after 700,000 operations a server had 309 MB, with this 108 MB, at
 * the same speed. What the server keeps long is small.
 */
const MEMORY_FLAGS = ['--max-semi-space-size=2']

export type Opened = Extract<ToKeeper, { kind: 'opened' }>
type OpenOrder = Extract<ToServer, { kind: 'open' }>
/** What the keeper sends to the first server of a mount, or of a takeover. */
export type FirstOrder = Pick<OpenOrder, 'rootDirectory' | 'isServed'>
type ServeOrders = Extract<ToServer, { kind: 'serve' }>

/** How a server ended. Everything that it had sent was received before. */
export type ServerEnd =
  | { readonly kind: 'unmounted'; readonly isHeld: boolean }
  /** `ownerPid`: the process that holds the image's lock. */
  | { readonly kind: 'refused'; readonly reason: string; readonly ownerPid?: number | undefined }
  | { readonly kind: 'died'; readonly how: string }

/** For a line of the log. */
export function describeServerEnd(ended: ServerEnd): string {
  switch (ended.kind) {
    case 'died':
      return `died (${ended.how})`
    case 'refused':
      return `refused its image: ${ended.reason}`
    case 'unmounted':
      return 'reported that the pool was unmounted'
  }
}

/** For the operator: why a server that ended so did not open the pool. `log`: where there is more. */
export function whyPoolNotOpened(ended: ServerEnd, log: string): string {
  if (ended.kind === 'refused') return ended.reason
  return ended.kind === 'died' && ended.how === 'SIGBUS'
    ? `the machine has lost memory of its image (SIGBUS): see ${log}`
    : `its server ${describeServerEnd(ended)}: see ${log}`
}

/** What a server asks of its keeper besides holding and releasing objects. */
export interface HandoverOrders {
  preserve(step: HandoverStep, image: Fd | undefined): void
  unpreserve(): void
}

export class ServerProcess {
  readonly #child: ChildProcess
  readonly #socket: Fd
  readonly #memfds: MemfdTable
  readonly end: Promise<ServerEnd>
  readonly #opened = Promise.withResolvers<Opened>()
  readonly #serving = Promise.withResolvers<'serving'>()
  #hasSentServing = false
  readonly #orders: HandoverOrders
  #sessionsClosed: (() => void)[] = []
  #isClosed = false
  #resized = (_totalBlocks: number): void => {}

  constructor(memfds: MemfdTable, logFd: Fd, orders: HandoverOrders) {
    const [ours, theirs] = socketPair()
    this.#socket = ours
    this.#memfds = memfds
    this.#orders = orders
    try {
      this.#child = spawn(process.execPath, [...process.execArgv, ...MEMORY_FLAGS, SERVER_MAIN], {
        stdio: ['ignore', logFd, logFd, theirs],
        env: compileCacheEnvironment(),
      })
    } catch (error) {
      close(ours)
      throw error
    } finally {
      close(theirs)
    }
    if (this.#child.pid !== undefined) {
      setOomScore(this.#child.pid, -1000)
      putServerFirst(this.#child.pid)
    }
    this.end = this.#follow()
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /**
   * It has sent `serving`, and is alive now: it holds all of the pool. A zombie holds nothing, or not for
   * long.
   */
  get isHolder(): boolean {
    return this.#hasSentServing && this.#child.exitCode === null && isMainThreadAlive(this.pid)
  }

  /** `listener` is called with each size of the pool that the server reports from now on. */
  onResized(listener: (totalBlocks: number) => void): void {
    this.#resized = listener
  }

  /** Resolves when the server has sent `serving`, or with how it ended instead. */
  async served(): Promise<'serving' | ServerEnd> {
    return await Promise.race([this.#serving.promise, this.end])
  }

  kill(): void {
    killChild(this.#child)
  }

  /**
   * Resolves when the server has read the image, or with how it ended instead. The keeper has stopped a
   * former server until then (SIGSTOP), so it gets a limited time. Errors (UsageError): it was not ready by
   * then, and is killed.
   */
  async open(
    order: Omit<OpenOrder, 'kind' | 'protocol'>,
    areas: Areas,
    timeoutMs = OPEN_TIMEOUT_MS,
  ): Promise<Opened | ServerEnd> {
    const { runtime, memfd = [], packed, regionLocks = [] } = areas
    this.#send({ kind: 'open', protocol: PROTOCOL, ...order }, [
      runtime,
      ...memfd,
      ...[packed, ...regionLocks].filter((fd) => fd !== undefined),
    ])
    for (const { objects, descriptors } of this.#memfds.batches()) {
      this.#send({ kind: 'memories', memories: objects }, descriptors)
    }
    this.#send({ kind: 'begin' })
    const opened = Promise.race([this.#opened.promise, this.end])
    if (!order.isServed) return await opened
    const first = await within(opened, timeoutMs)
    if (first !== LATE) return first
    this.kill()
    throw new UsageError(
      `pool '${order.pool}': its next server did not read the image within ${formatTimeout(timeoutMs)} and was ended, the former one goes on: mount again`,
    )
  }

  serve({ fuse, ...orders }: { fuse: Fd } & Omit<ServeOrders, 'kind' | 'keeperPid'>): void {
    this.#send({ kind: 'serve', ...orders, keeperPid: process.pid }, [fuse])
  }

  /** One more object was retrieved; without a descriptor: it is lost. */
  sendRetrieved(object: ObjectId, fd: Fd | undefined): void {
    if (fd === undefined) this.#send({ kind: 'lost', memory: object })
    else this.#send({ kind: 'memories', memories: [object] }, [fd])
  }

  /** Sends the server copies of these sessions. */
  shareSessions(sessions: readonly Fd[]): void {
    for (let from = 0; from < sessions.length; from += DESCRIPTORS_PER_MESSAGE)
      this.#send({ kind: 'sessions' }, sessions.slice(from, from + DESCRIPTORS_PER_MESSAGE))
  }

  /** Resolves when the server holds no session, or has ended. */
  async closeSessions(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#sessionsClosed.push(resolve)
    this.#send({ kind: 'close-sessions' })
    await Promise.race([promise, this.end])
  }

  /** A message to a server that died is lost; `end` resolves with how it ended. */
  #send(message: ToServer, descriptors: readonly Fd[] = []): void {
    if (this.#isClosed) return
    try {
      sendMessage(this.#socket, encodeMessage(message), [...descriptors])
    } catch {
      this.kill()
    }
  }

  /**
   * Receives until the end of the stream. The kernel delivers what was queued before it reports the end, so
   * when this is done `memfds` has every memfd that the server sent.
   */
  async #follow(): Promise<ServerEnd> {
    const exited = this.#exit()
    let end: ServerEnd | undefined
    let protocol: Protocol | undefined
    for (;;) {
      const received = await receiveMessage(this.#socket, MAX_MESSAGE_BYTES)
      if (received === undefined) break
      const message = decodeMessage<ToKeeper>(received.bytes)
      switch (message.kind) {
        case 'keep':
          this.#memfds.hold(message.memories, received.descriptors)
          break
        case 'drop':
          for (const object of message.memories) this.#memfds.release(object)
          break
        case 'hello':
          protocol = message.protocol
          break
        case 'opened': {
          // The server has decided the same, unless it is from before versions had a number.
          const reason = protocolProblem(PROTOCOL, protocol)
          if (reason === undefined) this.#opened.resolve(message)
          else {
            end = { kind: 'refused', reason }
            this.kill()
          }
          break
        }
        case 'resized':
          this.#resized(message.totalBlocks)
          break
        case 'serving':
          this.#hasSentServing = true
          this.#serving.resolve('serving')
          break
        case 'hand-over':
          this.#orders.preserve(message.step, received.descriptors[0])
          break
        case 'take-back':
          this.#orders.unpreserve()
          break
        case 'sessions-closed':
          for (const resolve of this.#sessionsClosed.splice(0)) resolve()
          break
        case 'unmounted':
          // From here on the server is ending: this process must not rely on it to hold the pool.
          this.#hasSentServing = false
          this.#send({ kind: 'released' })
          end = message
          break
        case 'refused':
          end = message
          break
      }
    }
    // The stream ends only when every copy of the server's end is closed, and a process that ends may close
    // it late.
    const how = await exited
    this.#isClosed = true
    close(this.#socket)
    return end ?? { kind: 'died', how }
  }

  /**
   * Never rejects: a server that could not be started (no more processes, no more descriptors) counts as one
   * that died.
   */
  async #exit(): Promise<string> {
    try {
      const [code, signal] = (await once(this.#child, 'exit')) as [number | null, string | null]
      return signal ?? `exit status ${code}`
    } catch (error) {
      return `could not be started: ${errorText(error)}`
    }
  }
}
