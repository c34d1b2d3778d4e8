/**
 * The outside end of the agent's port: requests and their answers; other messages go to `onNotice`. Requests
 * that are open when the agent has ended are failed by the caller of `failAll`. Must not: depend on kernels
 * or scenarios.
 */
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Message, Request } from '../inside/protocol.ts'

type Answer = Extract<Message, { type: 'ran' | 'started' }>
type Notice = Exclude<Message, Answer>
interface Waiter {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}
/** A request without its id: the channel numbers them. */
export type Order = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never

export class Channel {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiter>()
  #nextId = 1

  private constructor(socket: Socket, onNotice: (notice: Notice) => void) {
    this.#socket = socket
    const lines = createInterface({ input: socket })
    lines.on('line', (line) => {
      const message = parse(line)
      if (message === undefined) return
      if (message.type === 'ran' || message.type === 'started') this.#answer(message)
      else onNotice(message)
    })
    // The process that started QEMU notices its end. The reader of lines passes the socket's errors on.
    for (const emitter of [socket, lines]) emitter.on('error', () => {})
  }

  /** Connects to QEMU's socket. `onNotice` gets hellos, logs and ends, in order. */
  static open(path: string, onNotice: (notice: Notice) => void): Promise<Channel> {
    return new Promise((resolve, reject) => {
      const socket = connect(path)
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        resolve(new Channel(socket, onNotice))
      })
    })
  }

  ask(order: Order): Promise<Answer> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#socket.write(`${JSON.stringify({ id, ...order })}\n`)
    })
  }

  /** Rejects every open request. Later ones wait for a new agent. */
  failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  close(): void {
    this.#socket.destroy()
  }

  #answer(answer: Answer): void {
    this.#waiting.get(answer.id)?.resolve(answer)
    this.#waiting.delete(answer.id)
  }
}

/** A kexec can cut a line off: a line that is no message is dropped. */
function parse(line: string): Message | undefined {
  try {
    return JSON.parse(line) as Message
  } catch {
    return undefined
  }
}
