/** The keeper's end of its live update thread: it sends calls there, and resolves each with its answer. */
import { Worker } from 'node:worker_threads'
import { type Errno, errnoFromCode } from '../../values/errno.ts'
import type { Fd } from '../../values/ids.ts'
import { checkOwnFiles } from '../own-version.ts'

const WORKER = new URL(`./worker${import.meta.url.slice(-3)}`, import.meta.url)

export type LuoCall =
  | { readonly kind: 'create' | 'find'; readonly name: string }
  | { readonly kind: 'preserve'; readonly session: Fd; readonly fd: Fd; readonly token: bigint }
  | { readonly kind: 'retrieve'; readonly session: Fd; readonly token: bigint }
  | { readonly kind: 'finish'; readonly session: Fd }
  | { readonly kind: 'close'; readonly fd: Fd }
export interface LuoRequest {
  readonly id: number
  readonly call: LuoCall
}
export type LuoResult =
  | { readonly id: number; readonly errnoCode: number }
  | { readonly id: number; readonly fd: Fd | undefined }

/**
 * The calls of `linux/luo.ts` that take time or the device, with their errors. Tests bring one of their own.
 */
export interface Luo {
  /** Errors: also EBUSY, when the device stayed open elsewhere for seconds. */
  create(name: string): Promise<Fd | Errno>
  find(name: string): Promise<Fd | Errno>
  preserve(session: Fd, fd: Fd, token: bigint): Promise<Errno | undefined>
  retrieve(session: Fd, token: bigint): Promise<Fd | Errno>
  finish(session: Fd): Promise<Errno | undefined>
  close(fd: Fd): Promise<void>
}

export class LuoThread implements Luo {
  /** Started with the first call: a keeper that hands nothing over needs no thread. */
  #worker: Worker | undefined
  readonly #waiting = new Map<number, (result: LuoResult) => void>()
  #lastId = 0

  /** Rejects with a ReplacedError: the thread's file is none of this version any more. */
  async create(name: string): Promise<Fd | Errno> {
    if (this.#worker === undefined) checkOwnFiles()
    return await this.#forDescriptor({ kind: 'create', name })
  }

  find(name: string): Promise<Fd | Errno> {
    return this.#forDescriptor({ kind: 'find', name })
  }

  preserve(session: Fd, fd: Fd, token: bigint): Promise<Errno | undefined> {
    return this.#call({ kind: 'preserve', session, fd, token }) as Promise<Errno | undefined>
  }

  retrieve(session: Fd, token: bigint): Promise<Fd | Errno> {
    return this.#forDescriptor({ kind: 'retrieve', session, token })
  }

  finish(session: Fd): Promise<Errno | undefined> {
    return this.#call({ kind: 'finish', session }) as Promise<Errno | undefined>
  }

  async close(fd: Fd): Promise<void> {
    await this.#call({ kind: 'close', fd })
  }

  #forDescriptor(call: LuoCall): Promise<Fd | Errno> {
    return this.#call(call) as Promise<Fd | Errno>
  }

  async #call(call: LuoCall): Promise<Fd | Errno | undefined> {
    const id = ++this.#lastId
    const { promise, resolve } = Promise.withResolvers<LuoResult>()
    this.#waiting.set(id, resolve)
    this.#worker ??= this.#start()
    this.#worker.postMessage({ id, call } satisfies LuoRequest)
    const result = await promise
    return 'errnoCode' in result ? errnoFromCode(result.errnoCode) : result.fd
  }

  /**
   * A thread that breaks takes the keeper down with it, unhandled: the server then has the copies, and the
   * next keeper goes on.
   */
  #start(): Worker {
    // Descriptors that are opened there are the process's: Node must neither watch them nor close them with
    // the thread.
    const worker = new Worker(WORKER, { trackUnmanagedFds: false })
    worker.unref()
    worker.on('message', (result: LuoResult) => {
      this.#waiting.get(result.id)?.(result)
      this.#waiting.delete(result.id)
    })
    return worker
  }
}
