/**
 * One connection to the agent of a guest (qemu-ga), over the socket of its port. The agent is the guest's: it
 * may answer late, never, wrongly or without end, so each wait and all bytes are bounded. Must not: interpret
 * a command. Source: qga/qapi-schema.json of QEMU (guest-sync-delimited).
 */
import { randomInt } from 'node:crypto'
import { Socket } from 'node:net'
import * as v from 'valibot'
import { close } from '../../linux/descriptors.ts'
import { connectStream, listenerOf } from '../../linux/sockets.ts'
import { formatTimeout } from '../../values/duration.ts'
import { EAGAIN, Errno } from '../../values/errno.ts'
import { QemuError, QemuRefusal } from '../../values/errors.ts'
import { KIB } from '../../values/units.ts'
import { LATE, within } from '../../values/within.ts'

/** Of one connection: the longest answer that is asked for (guest-info) has some kilobytes. */
const MOST_BYTES = 256 * KIB
const MOST_CHARACTERS = 200
/** What begins a message anew for either end: no text in UTF-8 has this byte. */
const FLUSH = 0xff
const LINE_END = 0x0a

const AnswerSchema = v.union([
  v.object({ error: v.object({ desc: v.string() }) }),
  v.object({ return: v.unknown() }),
])
type Answer = v.InferOutput<typeof AnswerSchema>

export class AgentClient {
  readonly #socket: Socket
  #unread = Buffer.alloc(0)
  #bytes = 0
  /** Takes the next message; undefined: none is awaited, and what comes is dropped. */
  #take: ((answer: Answer) => void) | undefined
  readonly #end = Promise.withResolvers<never>()

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#end.promise.catch(() => {}) // whoever waits gets it
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#end.reject(new QemuError('its QEMU closed the connection to its agent')))
  }

  /**
   * A connection over which an agent has answered. `path`: of the socket at which `qemu`, a process, listens.
   * Errors (QemuError): no socket of that process; another program waits there; no answer within `timeoutMs`.
   */
  static async connect(path: string, qemu: number, timeoutMs: number): Promise<AgentClient> {
    const fd = connectStream(path)
    // QEMU takes one client at a time, and the kernel holds one more back.
    if (fd === EAGAIN)
      throw new QemuError(`other programs wait at its agent's socket ${path}, which serves one at a time`)
    if (fd instanceof Errno) throw new QemuError(`its agent's socket ${path}: ${fd}`)
    // The guest's user may have put another one at the path, of a process that takes root for somebody else.
    if (listenerOf(fd) !== qemu) {
      close(fd)
      throw new QemuError(`the socket ${path}, by its line that of its agent, is not its QEMU's`)
    }
    const client = new AgentClient(new Socket({ fd, readable: true, writable: true }))
    try {
      await client.#synchronise(timeoutMs)
      return client
    } catch (error) {
      client.close()
      throw error
    }
  }

  /**
   * What the command returns. Errors: QemuRefusal in the agent's words; QemuError: no answer within
   * `timeoutMs`, the connection ended, too many bytes.
   */
  async execute(command: string, timeoutMs: number): Promise<unknown> {
    const answer = this.#answer(() => true)
    this.#write(command)
    return returnOf(command, await this.#bounded(answer, timeoutMs))
  }

  /**
   * Sends a command that the agent answers only where it fails: resolves with its words then, and else never,
   * also where the connection ends.
   */
  refusalOf(command: string): Promise<string> {
    const answer = this.#answer((found) => 'error' in found)
    this.#write(command)
    return answer.then((found) => ('error' in found ? printable(found.error.desc) : ''))
  }

  close(): void {
    this.#end.reject(new QemuError('the connection to its agent: closed by us'))
    this.#socket.destroy()
  }

  /** Drops what a former client was to get. */
  async #synchronise(timeoutMs: number): Promise<void> {
    const id = randomInt(1, 2 ** 31)
    const answer = this.#answer((found) => 'return' in found && found.return === id)
    this.#socket.write(Buffer.of(FLUSH))
    this.#write('guest-sync-delimited', { id })
    await this.#bounded(answer, timeoutMs)
  }

  #write(execute: string, parameters?: object): void {
    this.#socket.write(`${JSON.stringify({ execute, ...(parameters && { arguments: parameters }) })}\n`)
  }

  /** The first message that `matches`; others before it are dropped. Never rejects. */
  #answer(matches: (answer: Answer) => boolean): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>()
    this.#take = (answer) => {
      if (!matches(answer)) return
      this.#take = undefined
      resolve(answer)
    }
    return promise
  }

  async #bounded(answer: Promise<Answer>, timeoutMs: number): Promise<Answer> {
    const first = await within(Promise.race([answer, this.#end.promise]), timeoutMs)
    if (first === LATE)
      throw new QemuError(`its agent does not answer within ${formatTimeout(timeoutMs)}: see that it runs`)
    return first
  }

  #receive(bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes > MOST_BYTES) {
      this.#end.reject(new QemuError(`its agent sends more than ${MOST_BYTES} bytes`))
      this.#socket.destroy()
      return
    }
    this.#unread = Buffer.concat([this.#unread, bytes])
    for (let at = this.#unread.indexOf(LINE_END); at >= 0; at = this.#unread.indexOf(LINE_END)) {
      const line = this.#unread.subarray(0, at)
      this.#unread = this.#unread.subarray(at + 1)
      const answer = answerOf(line.subarray(line.lastIndexOf(FLUSH) + 1).toString('utf8'))
      if (answer !== undefined) this.#take?.(answer)
    }
  }
}

/** undefined: it is none. */
function answerOf(line: string): Answer | undefined {
  try {
    const parsed = v.safeParse(AnswerSchema, JSON.parse(line))
    return parsed.success ? parsed.output : undefined
  } catch {
    return undefined
  }
}

function returnOf(command: string, answer: Answer): unknown {
  if ('error' in answer) throw new QemuRefusal(`${command}: ${printable(answer.error.desc)}`)
  return answer.return
}

/** The words of a guest, for a terminal. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, MOST_CHARACTERS)
