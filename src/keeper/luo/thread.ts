/**
 * The keeper's end of its live update thread: it sends calls there, and resolves each with its answer. A call
 * may hang in the kernel, where nothing can end it. The keeper waits for a call of a handover to the next
 * kernel for a limited time: then another thread makes the next call, so that everything can be unpreserved.
 *
 * Calls of a handover from the former kernel have no time limit: an object that is not retrieved there is
 * memory that is freed. Where the thread ends in the middle of one, the keeper cannot find out whether the
 * kernel has made the call, and ends: its server holds every session as well, and the next keeper retrieves
 * the rest.
 */
import { Worker } from 'node:worker_threads'
import { memfdSize } from '../../linux/memory.ts'
import { EIO, type Errno, ETIMEDOUT, errnoFromCode } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { GIB } from '../../values/units.ts'
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
 * The calls of `linux/luo.ts` that take time or the device, with their errors. Tests pass one of their own.
 */
export interface Luo {
  /**
   * Errors: also EBUSY, when the device stayed open elsewhere for seconds; ETIMEDOUT, when the kernel does
   * not answer. A session that is made after that is closed.
   */
  create(name: string): Promise<Fd | Errno>
  find(name: string): Promise<Fd | Errno>
  /** Errors: also ETIMEDOUT. The kernel may still preserve it: the call is over when `settled` resolves. */
  preserve(session: Fd, fd: Fd, token: bigint): Promise<Errno | undefined>
  retrieve(session: Fd, token: bigint): Promise<Fd | Errno>
  finish(session: Fd): Promise<Errno | undefined>
  /** Resolves when the session is closed, or when that takes too long. */
  close(fd: Fd): Promise<void>
  /** Resolves when none of the calls that timed out is under way any more. */
  settled(): Promise<void>
}

/** A call of a live update that takes longer has failed. */
const PATIENCE_MS = 60_000
/** Preserving takes time in proportion: clearing holes, moving pages out of the way. */
const PATIENCE_PER_GIB_MS = 1000

export interface LuoThreadOptions {
  readonly worker?: URL
  readonly patienceMs?: number
}

/** A call under way. */
interface Pending {
  readonly worker: Worker
  readonly call: LuoCall
  /** undefined: the call has timed out. */
  readonly answer: PromiseWithResolvers<LuoResult> | undefined
  readonly hasLimit: boolean
}

export class LuoThread implements Luo {
  readonly #file: URL
  readonly #patienceMs: number
  /** Started with the first call: a keeper that hands nothing over needs no thread. */
  #worker: Worker | undefined
  readonly #waiting = new Map<number, Pending>()
  /** Calls that timed out, and are still under way. */
  readonly #late = new Map<number, Pending>()
  #settling: (() => void)[] = []
  #lastId = 0

  /** Tests pass a thread that hangs, or ends. */
  constructor({ worker = WORKER, patienceMs = PATIENCE_MS }: LuoThreadOptions = {}) {
    this.#file = worker
    this.#patienceMs = patienceMs
  }

  /** Rejects with a ReplacedError where the thread's file is not of this version any more. */
  async create(name: string): Promise<Fd | Errno> {
    if (this.#worker === undefined) checkOwnFiles()
    return (await this.#call({ kind: 'create', name }, this.#patienceMs)) as Fd | Errno
  }

  find(name: string): Promise<Fd | Errno> {
    return this.#forDescriptor({ kind: 'find', name })
  }

  preserve(session: Fd, fd: Fd, token: bigint): Promise<Errno | undefined> {
    const gibibytes = memfdSize(fd).sizeBytes / GIB
    const patienceMs = this.#patienceMs + gibibytes * PATIENCE_PER_GIB_MS
    return this.#call({ kind: 'preserve', session, fd, token }, patienceMs) as Promise<Errno | undefined>
  }

  retrieve(session: Fd, token: bigint): Promise<Fd | Errno> {
    return this.#forDescriptor({ kind: 'retrieve', session, token })
  }

  finish(session: Fd): Promise<Errno | undefined> {
    return this.#call({ kind: 'finish', session }) as Promise<Errno | undefined>
  }

  async close(fd: Fd): Promise<void> {
    await this.#call({ kind: 'close', fd }, this.#patienceMs)
  }

  async settled(): Promise<void> {
    if (this.#late.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#settling.push(resolve)
    await promise
  }

  #forDescriptor(call: LuoCall): Promise<Fd | Errno> {
    return this.#call(call) as Promise<Fd | Errno>
  }

  /** Without `patienceMs` there is no time limit. */
  async #call(call: LuoCall, patienceMs?: number): Promise<Fd | Errno | undefined> {
    const id = ++this.#lastId
    this.#worker ??= this.#start()
    const worker = this.#worker
    const answer = Promise.withResolvers<LuoResult>()
    this.#waiting.set(id, { worker, call, answer, hasLimit: patienceMs !== undefined })
    // Keeps the process alive until the call returns, also where it has nothing else to wait for.
    worker.ref()
    worker.postMessage({ id, call } satisfies LuoRequest)
    const timer =
      patienceMs === undefined ? undefined : setTimeout(() => this.#timeOut(worker, id), patienceMs)
    const result = await answer.promise.finally(() => clearTimeout(timer))
    if (this.#waiting.size === 0) worker.unref()
    return 'errnoCode' in result ? errnoFromCode(result.errnoCode) : result.fd
  }

  /** The thread may hang without an end: another one makes the next calls. */
  #timeOut(worker: Worker, id: number): void {
    if (this.#worker === worker) this.#worker = undefined
    worker.unref()
    const pending = this.#waiting.get(id)
    if (pending !== undefined) this.#late.set(id, { ...pending, answer: undefined })
    this.#answer(id, { id, errnoCode: ETIMEDOUT.code })
  }

  #answer(id: number, result: LuoResult): void {
    const pending = this.#waiting.get(id)
    this.#waiting.delete(id)
    pending?.answer?.resolve(result)
  }

  /**
   * The thread has ended by itself, without an error: out of memory, for example. What the kernel has
   * preserved or retrieved by then belongs to a session, and ends with it. A call without a limit of time
   * rejects, which ends the keeper.
   */
  #ended(worker: Worker, code: number): void {
    if (this.#worker === worker) this.#worker = undefined
    for (const [id, pending] of this.#waiting) {
      if (pending.worker !== worker) continue
      if (pending.hasLimit) this.#answer(id, { id, errnoCode: EIO.code })
      else
        pending.answer?.reject(
          new BrokenInvariantError(
            `the live update thread ended with ${code} in '${pending.call.kind}': the next keeper goes on`,
          ),
        )
      this.#waiting.delete(id)
    }
    for (const [id, pending] of this.#late) if (pending.worker === worker) this.#late.delete(id)
    this.#settle()
  }

  #settle(): void {
    if (this.#late.size > 0) return
    for (const resolve of this.#settling.splice(0)) resolve()
  }

  /**
   * An error of the thread is not handled and ends the keeper: the server has copies of everything, and the
   * next keeper takes them over.
   */
  #start(): Worker {
    // Descriptors that the thread opens belong to the process: Node must neither track them nor close them
    // with the thread.
    const worker = new Worker(this.#file, { trackUnmanagedFds: false })
    worker.on('message', (result: LuoResult) => {
      const late = this.#late.get(result.id)
      if (late !== undefined) this.#answeredLate(worker, late.call, result)
      this.#answer(result.id, result)
    })
    worker.on('exit', (code) => this.#ended(worker, code))
    return worker
  }

  /** A session made after its caller's timeout is closed: it would keep its name from the next attempt. */
  #answeredLate(worker: Worker, call: LuoCall, result: LuoResult): void {
    this.#late.delete(result.id)
    if (call.kind === 'create' && 'fd' in result && result.fd !== undefined) {
      const id = ++this.#lastId
      const close: LuoCall = { kind: 'close', fd: result.fd }
      this.#late.set(id, { worker, call: close, answer: undefined, hasLimit: true })
      worker.postMessage({ id, call: close } satisfies LuoRequest)
    }
    this.#settle()
    if (this.#late.size > 0) return
    // Another thread has taken its place, and none of its calls is waited for.
    if (worker !== this.#worker && this.#waiting.size === 0) void worker.terminate()
  }
}
