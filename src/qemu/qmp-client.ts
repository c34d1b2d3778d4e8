/**
 * One QMP connection: greeting, capabilities, commands answered by id, events, and its end. Every wait is
 * bounded: a QEMU that is stopped or hangs must not delay other guests. Must not: interpret a command.
 */
import { connect, Socket } from 'node:net'
import { formatTimeout } from '../values/duration.ts'
import { errorText, QemuDisconnected, QemuError, QemuRefusal } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { LATE, within } from '../values/within.ts'
import { type QemuVersion, versionOf } from './qemu-version.ts'
import { type QmpEvent, type QmpMessage, QmpReader } from './qmp-messages.ts'

const COMMAND_TIMEOUT_MS = 10_000
/**
 * Events that no caller has taken yet: so many of one name, and so many names; older ones are dropped. By
 * name, so that a flood of one kind, which a guest can cause, drops none of another.
 */
const KEPT_EVENTS = 64

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: QemuError) => void
  readonly refuse: (description: string) => void
}

interface EventWait {
  readonly matches: (event: QmpEvent) => boolean
  readonly resolve: (event: QmpEvent) => void
  readonly reject: (error: QemuError) => void
}

export class QmpClient {
  readonly #socket: Socket
  readonly #path: string
  readonly #reader: QmpReader
  readonly #commands = new Map<number, Waiter>()
  readonly #greeting = Promise.withResolvers<QemuVersion>()
  readonly #events = new Map<string, QmpEvent[]>()
  readonly #waits = new Set<EventWait>()
  #nextId = 1
  #end: QemuError | undefined
  #version: QemuVersion = '0.0.0'
  /** Timeout of a command whose caller gives none: other guests may be waiting, too. */
  patienceMs = COMMAND_TIMEOUT_MS
  #deadlineMs = Number.POSITIVE_INFINITY
  #lateMessage = ''
  /** By performance.now(): when QEMU last answered a command. */
  #answeredMs = 0
  /** A command was not answered in time. */
  #hasUnanswered = false

  private constructor(path: string, socket: Socket, maxMessageBytes?: number) {
    this.#path = path
    this.#reader = new QmpReader(maxMessageBytes)
    this.#greeting.promise.catch(() => {}) // `#greeted` gets the rejection
    this.#socket = socket
    this.#socket.setEncoding('utf8')
    this.#socket.on('data', (chunk: string) => this.#receive(chunk))
    this.#socket.on('error', (error: NodeJS.ErrnoException) =>
      this.#finish(new QemuDisconnected(`QMP socket ${path}: ${closeMessage(error)}`)),
    )
    this.#socket.on('close', () => this.#finish(new QemuDisconnected(`QMP socket ${path}: QEMU closed it`)))
  }

  /**
   * A connection that takes commands. `maxMessageBytes`: default, more than any of QMP's own has. Errors
   * (QemuError): no process listens, no greeting within `timeoutMs`, not QMP.
   */
  static connect(path: string, timeoutMs: number, maxMessageBytes?: number): Promise<QmpClient> {
    return new QmpClient(path, connect(path), maxMessageBytes).#greeted(timeoutMs)
  }

  /** As `connect`, over a socket that is connected; it is closed with the connection. */
  static over(fd: Fd, path: string, timeoutMs: number): Promise<QmpClient> {
    return new QmpClient(path, new Socket({ fd, readable: true, writable: true })).#greeted(timeoutMs)
  }

  async #greeted(timeoutMs: number): Promise<QmpClient> {
    try {
      const what = `QMP socket ${this.#path}: no greeting`
      this.#version = await bounded(this.#greeting.promise, timeoutMs, what)
      await this.execute('qmp_capabilities', {}, timeoutMs)
      return this
    } catch (error) {
      this.close()
      throw error
    }
  }

  /**
   * From `timeoutMs` after now on, every wait and command of this connection ends with a QemuError of this
   * message: however often QEMU answers, all of it together may take no longer.
   */
  endWithin(timeoutMs: number, message: string): void {
    this.#deadlineMs = performance.now() + timeoutMs
    this.#lateMessage = message
  }

  /** What is left of `timeoutMs` until the deadline, for work that QEMU has no part in. */
  leftMs(timeoutMs: number): number {
    return Math.min(timeoutMs, this.#deadlineMs - performance.now())
  }

  /**
   * What `work` returns, done over this connection; where that has ended, or QEMU left a command unanswered
   * on it, over a new one with the same deadline: QEMU takes one at a time, so this one is closed. Errors
   * (QemuError): as of `connect`, or `work`'s.
   */
  async withConnection<T>(work: (qmp: QmpClient) => Promise<T>): Promise<T> {
    if (this.#end === undefined && !this.#hasUnanswered) return await work(this)
    const leftMs = this.#deadlineMs - performance.now()
    if (leftMs < 0) throw new QemuError(this.#lateMessage)
    this.close()
    const again = await QmpClient.connect(this.#path, Math.min(this.patienceMs, leftMs))
    try {
      again.patienceMs = this.patienceMs
      again.#deadlineMs = this.#deadlineMs
      again.#lateMessage = this.#lateMessage
      return await work(again)
    } finally {
      again.close()
    }
  }

  /** Of the QEMU at the other end. */
  get version(): QemuVersion {
    return this.#version
  }

  /**
   * What the command returns. QEMU carries out one after the other, so `timeoutMs` begins with its last
   * answer. Errors: QemuRefusal in QEMU's words; QemuError, no answer in time, connection ended.
   */
  async execute(command: string, parameters: object = {}, timeoutMs = this.patienceMs): Promise<unknown> {
    if (this.#end !== undefined) throw this.#end
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#commands.set(id, {
      resolve,
      reject: (error) => reject(new QemuError(`${command}: ${error.message}`)),
      refuse: (description) => reject(new QemuRefusal(`${command}: ${description}`)),
    })
    const sentMs = performance.now()
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`)
    try {
      const begunMs = () => Math.max(sentMs, this.#answeredMs)
      return await this.#bounded(promise, timeoutMs, `${command}: no answer`, begunMs)
    } finally {
      this.#commands.delete(id)
    }
  }

  /**
   * Takes the first event that `matches`, of those that were neither taken nor dropped yet and those still to
   * come. Errors (QemuError): none within `timeoutMs`, connection ended.
   */
  async event(matches: (event: QmpEvent) => boolean, timeoutMs: number, what: string): Promise<QmpEvent> {
    const kept = this.#takeKept(matches)
    if (kept !== undefined) return kept
    if (this.#end !== undefined) throw this.#end
    const { promise, resolve, reject } = Promise.withResolvers<QmpEvent>()
    const wait = { matches, resolve, reject }
    this.#waits.add(wait)
    try {
      const nowMs = performance.now()
      return await this.#bounded(promise, timeoutMs, what, () => nowMs)
    } finally {
      this.#waits.delete(wait)
    }
  }

  /** Takes an event that QEMU has already sent. */
  takeEvent(name: string): QmpEvent | undefined {
    return this.#events.get(name)?.shift()
  }

  /** Drops the events that QEMU has sent so far. */
  dropEvents(): void {
    this.#events.clear()
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
        this.#answered(message.id)
        this.#commands.get(message.id)?.resolve(message.value)
        break
      case 'error':
        if (message.id === undefined) break
        this.#answered(message.id)
        this.#commands.get(message.id)?.refuse(message.description)
        break
      case 'event':
        this.#takeEvent(message.event)
        break
    }
  }

  /** An answer to a command that no caller waits for any more does not count for the others. */
  #answered(id: number): void {
    if (this.#commands.has(id)) this.#answeredMs = performance.now()
  }

  #takeEvent(event: QmpEvent): void {
    for (const wait of this.#waits) {
      if (!wait.matches(event)) continue
      this.#waits.delete(wait)
      wait.resolve(event)
      return
    }
    const kept = this.#events.get(event.name) ?? []
    kept.push(event)
    if (kept.length > KEPT_EVENTS) kept.shift()
    this.#events.set(event.name, kept)
    const [oldest] = this.#events.keys()
    if (this.#events.size > KEPT_EVENTS) this.#events.delete(oldest as string)
  }

  #takeKept(matches: (event: QmpEvent) => boolean): QmpEvent | undefined {
    for (const events of this.#events.values()) {
      const at = events.findIndex(matches)
      if (at >= 0) return events.splice(at, 1)[0]
    }
    return undefined
  }

  #finish(error: QemuError): void {
    if (this.#end !== undefined) return
    this.#end = error
    this.#greeting.reject(error)
    for (const { reject } of this.#commands.values()) reject(error)
    for (const { reject } of this.#waits) reject(error)
  }

  async #bounded<T>(promise: Promise<T>, timeoutMs: number, what: string, begunMs: () => number): Promise<T> {
    const patienceMs = (): number => begunMs() + timeoutMs - performance.now()
    let [leftMs, waitMs] = [this.#deadlineMs - performance.now(), patienceMs()]
    for (; ; leftMs = this.#deadlineMs - performance.now(), waitMs = patienceMs()) {
      const first = await within(promise, Math.min(leftMs, waitMs))
      if (first !== LATE) return first
      // The timer may have fired up to a millisecond early: it is over all the same.
      if (leftMs <= waitMs || patienceMs() <= 1) break
    }
    this.#hasUnanswered = true
    if (leftMs > waitMs) throw late(what, timeoutMs)
    this.#deadlineMs = Number.NEGATIVE_INFINITY
    throw new QemuError(this.#lateMessage)
  }
}

/**
 * Why the connection ended: the kernel's message for a peer that closed while bytes were under way would not
 * help the operator.
 */
const closeMessage = ({ code, message }: NodeJS.ErrnoException): string =>
  code === 'EPIPE' || code === 'ECONNRESET' ? 'QEMU closed it' : message

async function bounded<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const first = await within(promise, timeoutMs)
  if (first === LATE) throw late(what, timeoutMs)
  return first
}

const late = (what: string, timeoutMs: number): QemuError =>
  new QemuError(`${what} within ${formatTimeout(timeoutMs)}`)
