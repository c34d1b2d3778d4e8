/**
 * The server's end of the socket to its keeper. Before it serves, the server waits for the keeper's messages;
 * once the blocking loop runs it sends, and receives only while memory objects are incoming or outgoing.
 * Without a keeper no new memory object can be made; files that exist are served.
 */

import { close } from '../linux/descriptors.ts'
import { receiveMessage, receiveMessageNow, sendMessage } from '../linux/sockets.ts'
import type { KeeperChannel } from '../stores/memfd/memfd-store.ts'
import { ECONNRESET, EPIPE, type Errno } from '../values/errno.ts'
import { BrokenInvariantError, SystemCallError } from '../values/errors.ts'
import type { HandoverStep } from '../values/handover-step.ts'
import type { Fd, ObjectId } from '../values/ids.ts'
import {
  DESCRIPTORS_PER_MESSAGE,
  decodeMessage,
  encodeMessage,
  MAX_MESSAGE_BYTES,
  type ToKeeper,
  type ToServer,
} from './messages.ts'

/** `fd` undefined: the object is lost. */
interface ReceivedObject {
  readonly object: ObjectId
  readonly fd: Fd | undefined
}

export interface Received {
  readonly message: ToServer
  readonly descriptors: readonly Fd[]
}

export class KeeperLink implements KeeperChannel {
  readonly #socket: Fd
  #isEnded = false
  /** Not yet sent to the keeper: deleting many files must not cost a message each. */
  #dropped: ObjectId[] = []
  /** The kernel had no memory for the `take-back` message: `flush` sends it. */
  #isUnpreservePending = false
  /** The same of `sessions-closed`, for which the keeper waits. */
  #isClosedPending = false
  /** Received while the server waited for another message. */
  #arrived: ReceivedObject[] = []
  readonly #sessions: Fd[] = []

  constructor(socket: Fd) {
    this.#socket = socket
  }

  /** Readable when the keeper has sent something; undefined: it is gone. */
  get socket(): Fd | undefined {
    return this.#isEnded ? undefined : this.#socket
  }

  get holdsSessions(): boolean {
    return this.#sessions.length > 0
  }

  /**
   * The next message that is not about incoming objects or sessions. undefined: the keeper closed its end,
   * and does not need this server.
   */
  async receive(): Promise<Received | undefined> {
    for (;;) {
      const received = await receiveMessage(this.#socket, MAX_MESSAGE_BYTES)
      if (received === undefined) return undefined
      const taken = { message: decodeMessage<ToServer>(received.bytes), descriptors: received.descriptors }
      if (!this.#take(taken)) return taken
    }
  }

  async expect<Kind extends ToServer['kind']>(
    kind: Kind,
  ): Promise<{
    message: Extract<ToServer, { kind: Kind }>
    descriptors: readonly Fd[]
  }> {
    const received = await this.receive()
    if (received?.message.kind !== kind) {
      throw new BrokenInvariantError(
        `the keeper was to send '${kind}', and sent '${received?.message.kind ?? 'nothing'}'`,
      )
    }
    return {
      message: received.message as Extract<ToServer, { kind: Kind }>,
      descriptors: received.descriptors,
    }
  }

  /** Objects that the keeper sent since the last call. Never waits. */
  received(): readonly ReceivedObject[] {
    for (;;) {
      const received = receiveMessageNow(this.#socket, MAX_MESSAGE_BYTES)
      if (received === undefined) break
      if (received === 'ended') {
        this.#isEnded = true
        break
      }
      const message = decodeMessage<ToServer>(received.bytes)
      if (!this.#take({ message, descriptors: received.descriptors }))
        throw new BrokenInvariantError(`the keeper sent '${message.kind}' while requests are served`)
    }
    const arrived = this.#arrived
    this.#arrived = []
    return arrived
  }

  /** Handles a message that may come at any time. False: it is another one. */
  #take({ message, descriptors }: Received): boolean {
    switch (message.kind) {
      case 'memories':
        this.#arrived.push(
          ...message.memories.map((object, index) => ({ object, fd: descriptors[index] as Fd })),
        )
        return true
      case 'lost':
        this.#arrived.push({ object: message.memory, fd: undefined })
        return true
      case 'sessions':
        this.#sessions.push(...descriptors)
        return true
      case 'close-sessions':
        this.closeSessions()
        this.#sendClosed()
        return true
      default:
        return false
    }
  }

  preserve(step: HandoverStep, image: Fd | undefined): boolean {
    return this.#post({ kind: 'hand-over', step }, image === undefined ? [] : [image]) === undefined
  }

  closeSessions(): void {
    for (const session of this.#sessions.splice(0)) close(session)
  }

  #sendClosed(): void {
    const failed = this.#post({ kind: 'sessions-closed' })
    this.#isClosedPending = failed !== undefined && failed !== EPIPE
  }

  unpreserve(): boolean {
    const failed = this.#post({ kind: 'take-back' })
    this.#isUnpreservePending = failed !== undefined && failed !== EPIPE
    return failed !== EPIPE
  }

  send(message: ToKeeper, descriptors: readonly Fd[] = []): void {
    sendMessage(this.#socket, encodeMessage(message), [...descriptors])
  }

  /** For messages that a keeper which is gone need not get. False: it is gone. */
  trySend(message: ToKeeper, descriptors: readonly Fd[] = []): boolean {
    const failed = this.#post(message, descriptors)
    if (failed === undefined || failed === EPIPE) return failed === undefined
    throw new SystemCallError(`sendmsg '${message.kind}'`, failed)
  }

  /** Errors: EPIPE (the keeper is gone); ENOMEM, ENOBUFS and the like: nothing was sent. */
  #post(message: ToKeeper, descriptors: readonly Fd[] = []): Errno | undefined {
    try {
      this.send(message, descriptors)
      return undefined
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error
      // ECONNRESET: the keeper died with messages unread (unix_release_sock, net/unix/af_unix.c).
      return error.errno === ECONNRESET ? EPIPE : error.errno
    }
  }

  hold(objects: readonly ObjectId[], descriptors: readonly Fd[]): void {
    // In order: a row that is used again must have been dropped before.
    const failed = this.#flush()
    if (failed) throw new SystemCallError('sendmsg of what was dropped', failed)
    this.send({ kind: 'keep', memories: objects }, descriptors)
  }

  /** Without a keeper, or without memory for the message, the descriptor table alone has the size. */
  resized(totalBlocks: number): void {
    this.#post({ kind: 'resized', totalBlocks })
  }

  release(object: ObjectId): void {
    this.#dropped.push(object)
    if (this.#dropped.length >= DESCRIPTORS_PER_MESSAGE) this.flush()
  }

  get isPending(): boolean {
    return this.#dropped.length > 0 || this.#isUnpreservePending || this.#isClosedPending
  }

  /** What could not be sent stays pending, and the session's timer calls this again. */
  flush(): void {
    this.#flush()
  }

  /** Errors: the kernel has no memory for the message. Without a keeper there is no copy to drop. */
  #flush(): Errno | undefined {
    if (this.#isUnpreservePending) this.unpreserve()
    if (this.#isClosedPending) this.#sendClosed()
    while (this.#dropped.length > 0) {
      const objects = this.#dropped.slice(0, DESCRIPTORS_PER_MESSAGE)
      const failed = this.#post({ kind: 'drop', memories: objects })
      if (failed !== undefined && failed !== EPIPE) return failed
      this.#dropped.splice(0, objects.length)
    }
    return undefined
  }
}
