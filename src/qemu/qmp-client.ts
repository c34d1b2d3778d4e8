/**
 * One QMP connection: greeting, capabilities, commands answered by id, events, and its end. Every wait is
 * bounded: a QEMU that is stopped or hangs must not hold up other guests. Must not: interpret a command.
 */
import { connect, type Socket } from 'node:net'
import { errorText, QemuError } from '../values/errors.ts'
import { LATE, within } from '../values/within.ts'
import { type QemuVersion, versionOf } from './qemu-version.ts'
import { type QmpEvent, type QmpMessage, QmpReader } from './qmp-messages.ts'

const COMMAND_TIMEOUT_MS = 10_000
/** Events that no caller has taken yet; older ones are dropped. */
const KEPT_EVENTS = 64

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: QemuError) => void
}

export class QmpClient {
  readonly #socket: Socket
  readonly #path: string
  readonly #reader: QmpReader
  readonly #commands = new Map<number, Waiter>()
  readonly #greeting = Promise.withResolvers<QemuVersion>()
  readonly #events: QmpEvent[] = []
  #wake = Promise.withResolvers<void>()
  #nextId = 1
  #end: QemuError | undefined
  #version: QemuVersion = '0.0.0'
  /** Timeout of a command whose caller gives none: other guests may be waiting, too. */
  patienceMs = COMMAND_TIMEOUT_MS

  private constructor(path: string, maxMessageBytes?: number) {
    this.#path = path
    this.#reader = new QmpReader(maxMessageBytes)
    this.#greeting.promise.catch(() => {}) // `connect` gets the rejection
    this.#socket = connect(path)
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (chunk: string) => this.#receive(chunk))
    this.#socket.on('error', (error) => this.#finish(new QemuError(`QMP socket ${path}: ${error.message}`)))
    this.#socket.on('close', () => this.#finish(new QemuError(`QMP socket ${path}: QEMU closed it`)))
  }

  /**
   * A connection that takes commands. `maxMessageBytes`: default, more than any of QMP's own has. Errors
   * (QemuError): no process listens, no greeting within `timeoutMs`, not QMP.
   */
  static async connect(path: string, timeoutMs: number, maxMessageBytes?: number): Promise<QmpClient> {
    const client = new QmpClient(path, maxMessageBytes)
    try {
      client.#version = await bounded(client.#greeting.promise, timeoutMs, `QMP socket ${path}: no greeting`)
      await client.execute('qmp_capabilities', {}, timeoutMs)
      return client
    } catch (error) {
      client.close()
      throw error
    }
  }

  /** Of the QEMU at the other end. */
  get version(): QemuVersion {
    return this.#version
  }

  /**
   * What the command returns. Errors (QemuError): QEMU's own description, no answer within `timeoutMs`,
   * connection ended.
   */
  async execute(command: string, parameters: object = {}, timeoutMs = this.patienceMs): Promise<unknown> {
    if (this.#end !== undefined) throw this.#end
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#commands.set(id, {
      resolve,
      reject: (error) => reject(new QemuError(`${command}: ${error.message}`)),
    })
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`)
    try {
      return await bounded(promise, timeoutMs, `${command}: no answer`)
    } finally {
      this.#commands.delete(id)
    }
  }

  /**
   * Takes the first event that `matches`, of those not taken or forgotten yet and those still to come. Errors
   * (QemuError): none within `timeoutMs`, connection ended.
   */
  async event(matches: (event: QmpEvent) => boolean, timeoutMs: number, what: string): Promise<QmpEvent> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const at = this.#events.findIndex(matches)
      if (at >= 0) return this.#events.splice(at, 1)[0] as QmpEvent
      if (this.#end !== undefined) throw this.#end
      await bounded(this.#wake.promise, deadline - performance.now(), what)
    }
  }

  /** Takes an event that QEMU has already sent. */
  takeEvent(name: string): QmpEvent | undefined {
    const at = this.#events.findIndex((event) => event.name === name)
    return at < 0 ? undefined : this.#events.splice(at, 1)[0]
  }

  /** Drops the events that QEMU has sent so far. */
  forgetEvents(): void {
    this.#events.length = 0
  }

  close(): void {
    this.#finish(new QemuError(`QMP socket ${this.#path}: closed by us`))
    this.#socket.destroy()
  }

  #receive(chunk: string): void {
    try {
      for (const message of this.#reader.read(chunk)) this.#take(message)
    } catch (error) {
      const reason = errorText(error)
      this.#finish(new QemuError(`QMP socket ${this.#path}: ${reason}`, { cause: error }))
      this.#socket.destroy()
    }
  }

  #take(message: QmpMessage): void {
    switch (message.kind) {
      case 'greeting':
        this.#greeting.resolve(versionOf(message.greeting.QMP.version))
        break
      case 'return':
        this.#commands.get(message.id)?.resolve(message.value)
        break
      case 'error':
        if (message.id !== undefined)
          this.#commands.get(message.id)?.reject(new QemuError(message.description))
        break
      case 'event':
        this.#events.push(message.event)
        if (this.#events.length > KEPT_EVENTS) this.#events.shift()
        this.#wakeWaiters()
        break
    }
  }

  #finish(error: QemuError): void {
    if (this.#end !== undefined) return
    this.#end = error
    this.#greeting.reject(error)
    for (const { reject } of this.#commands.values()) reject(error)
    this.#wakeWaiters()
  }

  #wakeWaiters(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers<void>()
  }
}

async function bounded<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const first = await within(promise, timeoutMs)
  if (first === LATE) throw new QemuError(`${what} within ${Math.round(timeoutMs)} ms`)
  return first
}
