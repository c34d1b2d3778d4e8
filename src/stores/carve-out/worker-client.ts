/**
 * The server's side of the store's worker: sends jobs, and calls back with their results, on the server's own
 * thread and only from `drain`. The thread may block in between: nothing here needs its event loop. A worker
 * that has died or hangs ends the server: how far its job got is unknown, and the next server starts another
 * worker (worker-watch.ts).
 */
import { writeSync } from 'node:fs'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { lowerEventfd, makeEventfd } from '../../linux/eventfd.ts'
import { errnoOfNodeError } from '../../linux/library.ts'
import { endAbruptly } from '../../linux/process.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import type { Job, JobKind, Ranges, Result } from './jobs.ts'
import type { WorkerData } from './run-worker.ts'
import { CHECK_MS, makeStepWords, WorkerWatch } from './worker-watch.ts'

type Done = (result: Result) => void

interface PendingJob {
  readonly kind: JobKind
  readonly bytes: number
  readonly done: Done
}

/** Logs the reason and ends this process. Tests only record it. */
type End = (reason: string) => void

/** What the store needs of its worker: tests pass one without a thread. */
export type WorkerPort = Pick<WorkerClient, 'wake' | 'progressBytes' | 'checkMs' | 'check' | 'send' | 'drain'>

export class WorkerClient {
  /** Readable when something has finished. */
  readonly wake: Fd = makeEventfd()
  readonly #port: MessagePort
  readonly #waiting = new Map<number, PendingJob>()
  readonly #watch: WorkerWatch
  readonly #end: End
  readonly #progress = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT))
  #lastId = 0

  /**
   * `program`: the thread's file, which calls `runWorker`. `target`: what its mapper works on, a plain value.
   */
  constructor(program: URL, target: object, end: End = endWithReason) {
    const stepWords = makeStepWords()
    this.#watch = new WorkerWatch(stepWords)
    this.#end = end
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const workerData: WorkerData = {
      port: port2,
      wake: this.wake,
      target,
      progress: this.#progress,
      stepWords,
    }
    // unref: the process ends with the server's thread, whatever the worker is doing.
    new Worker(program, { workerData, transferList: [port2] }).unref()
  }

  /** Bytes zeroed of the extent under way. */
  get progressBytes(): number {
    return Number(Atomics.load(this.#progress, 0))
  }

  /** `done` is called from a later `drain`. */
  send(kind: JobKind, ranges: Ranges, done: Done, { gigantic = false } = {}): void {
    const id = ++this.#lastId
    if (kind === 'clear') Atomics.store(this.#progress, 0, 0n)
    const bytes = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
    if (this.#waiting.size === 0) this.#watch.reset()
    this.#waiting.set(id, { kind, bytes, done })
    const job: Job = { id, kind, ranges, gigantic }
    this.#port.postMessage(job)
  }

  /** The interval of `check`; undefined: no job is under way. */
  get checkMs(): number | undefined {
    return this.#waiting.size > 0 ? CHECK_MS : undefined
  }

  /** Ends this process where the worker has died or hangs. */
  check(): void {
    if (this.#waiting.size === 0) {
      this.#watch.reset()
      return
    }
    let bytes = 0
    for (const owed of this.#waiting.values()) bytes += owed.bytes
    const reason = this.#watch.check(bytes)
    if (reason === undefined) return
    const kinds = [...new Set([...this.#waiting.values()].map(({ kind }) => kind))].join(', ')
    this.#end(`the store's worker ${reason}, and has not answered ${this.#waiting.size} requests (${kinds})`)
  }

  /**
   * Calls back for all jobs that have finished. Throws BrokenInvariantError where the worker reported an
   * exception.
   */
  drain(): void {
    lowerEventfd(this.wake)
    // Lowered first: a job that finishes from here on raises it again.
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      const result = got.message as Result
      if (result.kind === 'broken')
        throw new BrokenInvariantError(`the store's worker broke: ${result.reason}`)
      const owed = this.#waiting.get(result.id)
      this.#waiting.delete(result.id)
      owed?.done(result)
    }
  }
}

function endWithReason(reason: string): never {
  try {
    writeSync(2, `${reason}: this server ends\n`)
  } catch (error) {
    // Where the line cannot be written (a full /run, say), it ends all the same.
    errnoOfNodeError(error)
  }
  endAbruptly()
}
