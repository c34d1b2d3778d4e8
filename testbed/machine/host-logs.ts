/**
 * The logs of a host, as its agents send them: their text here, and files in the run's folder. An agent that
 * is not the first one of its kernel begins at the beginning of each file again.
 */
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import type { Message } from '../inside/protocol.ts'
import { Log } from './log.ts'

export class HostLogs {
  readonly #folder: string
  readonly #hostFailed: Promise<never>
  readonly #logs = new Map<string, Log>()
  readonly #files = new Map<string, WriteStream>()
  /** Bytes of each log's file of this kernel that have come. */
  readonly #received = new Map<string, number>()

  /** `folder`: of the run. `hostFailed`: rejects when the host fails. */
  constructor(folder: string, hostFailed: Promise<never>) {
    this.#folder = join(folder, 'logs')
    this.#hostFailed = hostFailed
    mkdirSync(this.#folder, { recursive: true })
  }

  /** All that was ever written to the log `name`, by programs of every kernel so far. */
  get(name: string): Log {
    let log = this.#logs.get(name)
    if (log === undefined) {
      log = new Log(name, this.#hostFailed)
      this.#logs.set(name, log)
    }
    return log
  }

  /** What a former agent of this kernel has sent is not appended again. */
  append({ name, offset, text }: Extract<Message, { type: 'log' }>): void {
    const known = this.#received.get(name) ?? 0
    const end = offset + text.length
    if (end <= known) return
    const added = text.slice(Math.max(0, known - offset))
    this.#received.set(name, end)
    this.get(name).append(added)
    this.#fileOf(name).write(added, 'latin1')
  }

  /** Its files are new. */
  beginKernel(): void {
    this.#received.clear()
  }

  end(): void {
    for (const file of this.#files.values()) file.end()
  }

  #fileOf(name: string): WriteStream {
    let file = this.#files.get(name)
    if (file === undefined) {
      file = createWriteStream(join(this.#folder, name))
      this.#files.set(name, file)
    }
    return file
  }
}
