/**
 * The server's end of the store's worker: sends jobs, and calls back with what came of them, on the server's
 * own thread and only from `drain`. The thread may block in between: nothing here needs its event loop.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { lowerEventfd, makeEventfd } from '../../linux/eventfd.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import type { Job, Kind, Ranges, Result } from './jobs.ts'
import type { WorkerData } from './run-worker.ts'

type Done = (result: Result) => void

/** What the store needs of its worker: tests bring one without a thread. */
export type WorkerPort = Pick<WorkerClient, 'wake' | 'progressBytes' | 'ask' | 'drain'>

export class WorkerClient {
  /** Readable when something has finished. */
  readonly wake: Fd = makeEventfd()
  readonly #port: MessagePort
  readonly #waiting = new Map<number, Done>()
  readonly #progress = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT))
  #lastId = 0

  /**
   * `program`: the thread's file, which calls `runWorker`. `target`: what it is set to work on, a plain
   * value.
   */
  constructor(program: URL, target: object) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const workerData: WorkerData = {
      port: port2,
      wake: this.wake,
      target,
      progress: this.#progress,
    }
    // The process ends when the server does, whatever the worker is at.
    new Worker(program, { workerData, transferList: [port2] }).unref()
  }

  /** Bytes zeroed of the extent under way. */
  get progressBytes(): number {
    return Number(Atomics.load(this.#progress, 0))
  }

  /** `done` is called from a later `drain`. */
  ask(kind: Kind, ranges: Ranges, done: Done, { gigantic = false } = {}): void {
    const id = ++this.#lastId
    if (kind === 'clear') Atomics.store(this.#progress, 0, 0n)
    this.#waiting.set(id, done)
    const job: Job = { id, kind, ranges, gigantic }
    this.#port.postMessage(job)
  }

  /** Brings all that has finished. Throws BrokenInvariantError when the worker made a mistake. */
  drain(): void {
    lowerEventfd(this.wake)
    // Lowered first: what finishes from here on raises it again.
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      const result = got.message as Result
      if (result.kind === 'broken')
        throw new BrokenInvariantError(`the store's worker broke: ${result.reason}`)
      const done = this.#waiting.get(result.id)
      this.#waiting.delete(result.id)
      done?.(result)
    }
  }
}
