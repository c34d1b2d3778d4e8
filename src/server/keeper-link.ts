/**
 * Owns the server's end of the socket to its keeper. Before serving it receives; once the blocking loop runs
 * it only sends. A keeper that is gone makes every new memory fail, never a file that already exists.
 */
import { receiveMessage, sendMessage } from '../linux/sockets.ts'
import type { Custody } from '../stores/memfd.ts'
import { ECONNRESET, EPIPE } from '../values/errno.ts'
import { BrokenInvariantError, SystemCallError } from '../values/errors.ts'
import type { Fd, MemoryId } from '../values/ids.ts'
import {
  DESCRIPTORS_PER_MESSAGE,
  decodeMessage,
  encodeMessage,
  MAX_MESSAGE_BYTES,
  type ToKeeper,
  type ToServer,
} from './messages.ts'

export interface Received {
  readonly message: ToServer
  readonly descriptors: readonly Fd[]
}

export class KeeperLink implements Custody {
  readonly #socket: Fd
  /** Not yet said: deleting many files must not cost a message each. */
  #dropped: MemoryId[] = []

  constructor(socket: Fd) {
    this.#socket = socket
  }

  /** undefined: the keeper closed its end, nobody wants this server any more. */
  async receive(): Promise<Received | undefined> {
    const received = await receiveMessage(this.#socket, MAX_MESSAGE_BYTES)
    if (received === undefined) return undefined
    return { message: decodeMessage<ToServer>(received.bytes), descriptors: received.descriptors }
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

  send(message: ToKeeper, descriptors: readonly Fd[] = []): void {
    sendMessage(this.#socket, encodeMessage(message), [...descriptors])
  }

  /** For what a keeper that is gone need not know. False: it is gone. */
  tell(message: ToKeeper): boolean {
    try {
      this.send(message)
      return true
    } catch (error) {
      // ECONNRESET: it died with messages unread (unix_release_sock, net/unix/af_unix.c).
      const isGone = error instanceof SystemCallError && [EPIPE, ECONNRESET].includes(error.errno)
      if (isGone) return false
      throw error
    }
  }

  keep(memories: readonly MemoryId[], descriptors: readonly Fd[]): void {
    // In order: a row that is used again must have been dropped before.
    this.catchUp()
    this.send({ kind: 'keep', memories }, descriptors)
  }

  drop(memory: MemoryId): void {
    this.#dropped.push(memory)
    if (this.#dropped.length >= DESCRIPTORS_PER_MESSAGE) this.catchUp()
  }

  get isBehind(): boolean {
    return this.#dropped.length > 0
  }

  /** Without a keeper there is no copy to drop. */
  catchUp(): void {
    if (!this.isBehind) return
    const memories = this.#dropped
    this.#dropped = []
    this.tell({ kind: 'drop', memories })
  }
}
