/**
 * The supervisor's part in an update that starts the next QEMU first: it starts the successor when the
 * updating command asks for it, and when the command has gone it ends the QEMU that does not have the guest.
 *
 * Why no guest is ended or runs twice: the guest is that QEMU's which the runtime record names as `qemu`, and
 * the command, which holds the VM's update lock, gives it to the successor by one atomic replacement of that
 * record. From the start of a successor to the end of the connection the supervisor does not write the
 * record, so it cannot take the guest back. A command that goes back to the former QEMU has not replaced the
 * record, however late the supervisor looks.
 */
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import * as v from 'valibot'
import { close } from '../../linux/descriptors.ts'
import { killChild } from '../../linux/process.ts'
import { listenUnix } from '../../linux/unix-listener.ts'
import { isSameProcess, type ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, vmPaths } from '../../run/vm-runtime.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { LATE, within } from '../../values/within.ts'
import { endWords, type QemuProcess } from '../qemu-process.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { type Answer, RequestSchema, readLines } from './successor-messages.ts'

/** QEMU closes its images when SIGTERM ends it. */
const TERM_TIMEOUT_MS = 3000

/** A QEMU that waits for the guest, with the listening socket of its QMP. */
export interface Waiting {
  readonly qemu: QemuProcess
  readonly identity: ProcessIdentity
  readonly monitor: Fd
  /** The socket's name in the VM's directory. */
  readonly socket: string
}

/** What the supervisor does with it. */
export interface SuccessionOwner {
  /** A QEMU that waits for a guest. Errors: UsageError. */
  readonly start: (definition: VmDefinition, monitor: Fd) => QemuProcess
  /** Puts the successor on record, or, with undefined, takes it off. Errors: Node's, a full /run. */
  readonly record: (successor: ProcessIdentity | undefined) => void
  /** The record names it as the guest's QEMU. Returns the one that was. Never throws. */
  readonly own: (successor: Waiting) => QemuProcess
}

export class Succession {
  readonly #name: string
  readonly #owner: SuccessionOwner
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  /** All connections so far. */
  #over: Promise<void> = Promise.resolve()
  #count = 0

  constructor(name: string, owner: SuccessionOwner) {
    this.#name = name
    this.#owner = owner
    this.#server = createServer((socket) => this.#accept(socket))
    // `listenUnix` makes a socket that only root may connect to.
    this.#server.listen({ fd: listenUnix(vmPaths(name).control) })
    this.#server.unref()
  }

  /** Resolves when no successor can become the guest's QEMU any more, until another command asks for one. */
  async settled(): Promise<void> {
    await this.#over
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const connection of this.#connections) connection.end()
    await this.settled()
  }

  /** The next command waits until the successor of a former one, which was killed, has ended. */
  #accept(socket: Socket): void {
    const former = this.#over
    const connection = new Connection(socket, this.#name, `qmp-${++this.#count}`, this.#owner)
    this.#connections.add(connection)
    this.#over = former.then(() => connection.over)
    void former.then(() => connection.listen())
    void connection.over.then(() => this.#connections.delete(connection))
  }
}

class Connection {
  readonly #socket: Socket
  readonly #vm: string
  /** Of the successor's QMP socket. */
  readonly #name: string
  readonly #owner: SuccessionOwner
  readonly #over = Promise.withResolvers<void>()
  #waiting: Waiting | undefined
  #former: QemuProcess | undefined

  constructor(socket: Socket, vm: string, name: string, owner: SuccessionOwner) {
    this.#socket = socket
    this.#vm = vm
    this.#name = name
    this.#owner = owner
    socket.on('error', () => {}) // 'close' follows
    socket.once('close', () => void this.#closed())
  }

  /** Takes requests. */
  listen(): void {
    readLines(this.#socket, (text) => this.#take(text))
  }

  /** Resolves when the connection has ended and what it left has been ended. Never rejects. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  end(): void {
    this.#socket.destroy()
  }

  #take(text: string): void {
    try {
      const request = v.parse(RequestSchema, JSON.parse(text))
      if (request.do === 'start') this.#start(request.definition as VmDefinition)
      else this.#look()
    } catch (error) {
      this.#answer({ is: 'refused', reason: errorText(error) })
    }
  }

  #start(definition: VmDefinition): void {
    if (this.#waiting !== undefined || this.#former !== undefined)
      throw new UsageError('a successor was started already')
    const monitor = listenUnix(this.#path())
    const qemu = this.#launch(definition, monitor)
    const { identity } = qemu
    if (identity === undefined) {
      this.#forget(monitor)
      this.#tellEnd(qemu)
      return
    }
    const waiting = { qemu, identity, monitor, socket: this.#name }
    this.#waiting = waiting
    this.#owner.record(identity)
    this.#answer({ is: 'started', qemu: identity, socket: this.#name })
    this.#tellEnd(qemu)
  }

  #tellEnd({ ended }: QemuProcess): void {
    void ended.then(endWords, errorText).then((end) => this.#answer({ is: 'ended', end }))
  }

  #launch(definition: VmDefinition, monitor: Fd): QemuProcess {
    try {
      return this.#owner.start(definition, monitor)
    } catch (error) {
      this.#forget(monitor)
      throw error
    }
  }

  /** Where the record names the successor, it is the guest's QEMU. */
  #look(): void {
    const waiting = this.#waiting
    const named = readRuntime(this.#vm)?.qemu
    if (waiting === undefined || named == null || !isSameProcess(named, waiting.identity)) return
    this.#waiting = undefined
    this.#former = this.#owner.own(waiting)
  }

  /**
   * Also where the command was killed. Never rejects: the guest must not lose its supervisor by it. A QEMU
   * that does not end stays on record, for the next command.
   */
  async #closed(): Promise<void> {
    try {
      this.#look()
      const waiting = this.#waiting
      const ended = [
        waiting === undefined || (await endChild(waiting.qemu, 'SIGTERM')),
        // Its images are inactive since the save: it can be killed at any moment.
        this.#former === undefined || (await endChild(this.#former, 'SIGKILL')),
      ]
      if (waiting !== undefined) this.#forget(waiting.monitor)
      const hasStarted = waiting !== undefined || this.#former !== undefined
      if (hasStarted && ended.every(Boolean)) this.#owner.record(undefined)
    } catch {
      // /run is full or read-only: what is on record has ended, which the next command sees.
    }
    this.#waiting = undefined
    this.#over.resolve()
  }

  #forget(monitor: Fd): void {
    close(monitor)
    rmSync(this.#path(), { force: true })
  }

  #path(): string {
    return join(vmPaths(this.#vm).directory, this.#name)
  }

  #answer(answer: Answer): void {
    if (!this.#socket.destroyed) this.#socket.write(line(answer))
  }
}

const line = (answer: Answer): string => `${JSON.stringify(answer)}\n`

/** False: it goes on. */
async function endChild({ child, ended }: QemuProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
  const end = ended.then(
    () => true,
    () => true,
  )
  killChild(child, signal)
  if ((await within(end, TERM_TIMEOUT_MS)) !== LATE) return true
  killChild(child, 'SIGKILL')
  return (await within(end, TERM_TIMEOUT_MS)) !== LATE
}
