/**
 * QMP of a QEMU that libvirt owns: each command goes through libvirt's own connection, which takes only one
 * client. libvirt marks the domain as tainted (`custom-monitor`) and changes nothing else. Must not: send a
 * command that libvirt must know of, such as `cont` or `device_add`.
 */
import * as v from 'valibot'
import type { QmpCommands } from '../qemu/qmp-commands.ts'
import { QemuError, QemuRefusal } from '../values/errors.ts'
import { liveXmlWords, type Virsh, virsh } from './virsh.ts'

const ReplySchema = v.union([
  v.object({ return: v.unknown() }),
  v.object({ error: v.object({ desc: v.string() }) }),
])

const PATIENCE_MS = 10_000

export class DomainMonitor implements QmpCommands {
  readonly #uuid: string
  readonly #run: Virsh
  /** Timeout of a command whose caller gives none. */
  patienceMs = PATIENCE_MS
  #deadlineMs = Number.POSITIVE_INFINITY
  #lateMessage = ''

  constructor(uuid: string, run: Virsh = virsh) {
    this.#uuid = uuid
    this.#run = run
  }

  /** From `timeoutMs` after now on every command ends with a QemuError of this message. */
  endWithin(timeoutMs: number, message: string): void {
    this.#deadlineMs = performance.now() + timeoutMs
    this.#lateMessage = message
  }

  /** As of `QmpCommands`; errors of libvirt are QemuErrors as well. */
  async execute(command: string, parameters: object = {}, timeoutMs = this.patienceMs): Promise<unknown> {
    const question = JSON.stringify({ execute: command, arguments: parameters })
    const text = await this.#call(['qemu-monitor-command', this.#uuid, question], timeoutMs)
    const reply = replyOf(command, text)
    if ('error' in reply) throw new QemuRefusal(`${command}: ${reply.error.desc}`)
    return reply.return
  }

  /** libvirt's, of the domain as it is now, with passwords. Errors: QemuError. */
  async liveXml(): Promise<string> {
    return await this.#call(liveXmlWords(this.#uuid), this.patienceMs)
  }

  async #call(words: readonly string[], timeoutMs: number): Promise<string> {
    const leftMs = this.#deadlineMs - performance.now()
    if (leftMs <= 0) throw new QemuError(this.#lateMessage)
    return await this.#run(words, Math.min(timeoutMs, leftMs)).catch((error: unknown) => {
      throw performance.now() < this.#deadlineMs ? error : new QemuError(this.#lateMessage, { cause: error })
    })
  }
}

function replyOf(command: string, text: string): v.InferOutput<typeof ReplySchema> {
  try {
    return v.parse(ReplySchema, JSON.parse(text))
  } catch (cause) {
    throw new QemuError(`${command}: an answer that is no QMP`, { cause })
  }
}
