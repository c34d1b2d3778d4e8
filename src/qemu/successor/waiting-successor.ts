/**
 * The updating command's part: a successor that the VM's supervisor starts beside the QEMU that has the
 * guest, and that waits for the guest's state. The command ends it by `end`, or by its own death, as long as
 * `takeOver` has not replaced the runtime record.
 */
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import * as v from 'valibot'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { pointQmp, readRuntime, vmPaths, writeRuntime } from '../../run/vm-runtime.ts'
import { errorText, QemuError } from '../../values/errors.ts'
import { LATE, within } from '../../values/within.ts'
import { endWaiting } from '../end-qemu.ts'
import { markWords, wordsSince } from '../last-words.ts'
import { QmpClient } from '../qmp-client.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { type Answer, AnswerSchema, type Request, readLines } from './successor-messages.ts'

/** For answers of the supervisor, which does nothing else. */
const ANSWER_TIMEOUT_MS = 5000
/** The guest stands still meanwhile. */
const QUIT_TIMEOUT_MS = 500

type Started = Answer & { readonly is: 'started' }

/** The VM's supervisor starts no successor: it has ended, or is a former version's. */
export class NoSuccession extends Error {}

export class WaitingSuccessor {
  readonly #name: string
  readonly #supervisor: Supervisor
  /** Of its QMP. */
  readonly #socket: string
  readonly qemu: ProcessIdentity
  readonly qmp: QmpClient
  #hasTakenOver = false

  private constructor(name: string, supervisor: Supervisor, { qemu, socket }: Started, qmp: QmpClient) {
    this.#name = name
    this.#socket = socket
    this.#supervisor = supervisor
    this.qemu = qemu
    this.qmp = qmp
  }

  /**
   * A QEMU by `definition`, which answers QMP and waits for the guest. Errors: NoSuccession; QemuError: it
   * does not start, in its own words.
   */
  static async start(definition: VmDefinition, timeoutMs: number): Promise<WaitingSuccessor> {
    const { name } = definition
    const supervisor = await Supervisor.connect(name)
    const mark = markWords(name)
    let started: Started | undefined
    let greeting: Promise<QmpClient> | undefined
    try {
      const answer = await supervisor.start(definition)
      started = answer
      greeting = QmpClient.connect(join(vmPaths(name).directory, answer.socket), timeoutMs)
      const qmp = await Promise.race([greeting, supervisor.ended])
      return new WaitingSuccessor(name, supervisor, answer, qmp)
    } catch (error) {
      supervisor.close()
      greeting?.then((late) => late.close()).catch(() => {})
      // Its supervisor ends it as well, unless that has died.
      if (started !== undefined) await endWaiting(name, started.qemu)
      const words = wordsSince(mark)
      const reason = words === '' ? errorText(error) : words
      throw new QemuError(`its next QEMU does not start, so the guest was not paused: ${reason}`, {
        cause: error,
      })
    }
  }

  get hasTakenOver(): boolean {
    return this.#hasTakenOver
  }

  /** Errors (QemuError): it has ended. */
  checkAlive(): void {
    if (!isAlive(this.qemu)) throw new QemuError('its next QEMU has ended')
  }

  /**
   * The guest is the successor's from here on: one atomic replacement of the runtime record. Errors
   * (QemuError; Node's, a full /run): it is not.
   */
  takeOver(): void {
    this.checkAlive()
    const runtime = readRuntime(this.#name)
    if (runtime === undefined) throw new QemuError('its runtime record is gone')
    const { successor: _, qemu: former, ...rest } = runtime
    writeRuntime(this.#name, {
      ...rest,
      starts: rest.starts + 1,
      qemu: this.qemu,
      ...(former === null ? {} : { predecessor: former }),
      socket: this.#socket,
    })
    // Nothing throws after it: the caller would go back to a QEMU that no longer has the guest.
    this.#hasTakenOver = true
    pointQmp(this.#name)
    this.#supervisor.look()
  }

  /** Ends a successor that has not taken over, and waits for its end: it may have the guest's images open. */
  async end(): Promise<void> {
    await this.qmp.execute('quit', {}, QUIT_TIMEOUT_MS).catch(() => {})
    this.qmp.close()
    this.#supervisor.close()
    await endWaiting(this.#name, this.qemu)
  }

  /** After `takeOver`. */
  close(): void {
    this.qmp.close()
    this.#supervisor.close()
  }
}

/** The connection to the VM's supervisor. */
class Supervisor {
  readonly #socket: Socket
  readonly #ended = Promise.withResolvers<never>()
  #answer = Promise.withResolvers<Answer>()

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#ended.promise.catch(() => {})
    readLines(socket, (text) => this.#take(text))
    socket.on('error', () => {}) // 'close' follows
    socket.once('close', () => this.#ended.reject(new QemuError('its supervisor has ended')))
  }

  static async connect(name: string): Promise<Supervisor> {
    const supervisor = readRuntime(name)?.supervisor
    if (supervisor === undefined || !isAlive(supervisor)) throw new NoSuccession('its supervisor has ended')
    const socket = connect(vmPaths(name).control)
    const connected = Promise.withResolvers<void>()
    socket.once('connect', connected.resolve)
    socket.once('error', connected.reject)
    try {
      await connected.promise
    } catch (cause) {
      throw new NoSuccession('its supervisor is of a former version', { cause })
    }
    return new Supervisor(socket)
  }

  /** Rejects (QemuError) when the successor has ended, or the supervisor. */
  get ended(): Promise<never> {
    return this.#ended.promise
  }

  async start(definition: VmDefinition): Promise<Started> {
    const answer = await this.#ask({ do: 'start', definition })
    if (answer.is === 'started') return answer
    throw new QemuError(answer.is === 'refused' ? answer.reason : `it answered '${answer.is}'`)
  }

  look(): void {
    this.#send({ do: 'look' })
  }

  close(): void {
    this.#socket.destroy()
  }

  async #ask(request: Request): Promise<Answer> {
    this.#answer = Promise.withResolvers<Answer>()
    this.#send(request)
    const first = await within(Promise.race([this.#answer.promise, this.#ended.promise]), ANSWER_TIMEOUT_MS)
    if (first === LATE) throw new QemuError('its supervisor does not answer')
    return first
  }

  #send(request: Request): void {
    this.#socket.write(`${JSON.stringify(request)}\n`)
  }

  #take(text: string): void {
    try {
      const answer = v.parse(AnswerSchema, JSON.parse(text))
      if (answer.is === 'ended') this.#ended.reject(new QemuError(`QEMU ${answer.end}`))
      else this.#answer.resolve(answer)
    } catch {
      this.#socket.destroy()
    }
  }
}
