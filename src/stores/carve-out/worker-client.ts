/**
 * Owns the server's end of the worker: hands jobs over, and brings what came of them to whoever asked, on the server's
 * own thread and only when it asks for it. The thread may block in between: nothing here needs its event loop.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { lowerEventfd, makeEventfd } from '../../linux/eventfd.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import type { Job, Kind, Ranges, Result } from './jobs.ts'
import type { WorkerData, WorkerTarget } from './worker.ts'

const WORKER = new URL(`./worker${import.meta.url.slice(-3)}`, import.meta.url)

type Done = (result: Result) => void

/** What the store asks of whoever works for it: tests bring hands of their own. */
export type WorkerPort = Pick<WorkerClient, 'wake' | 'progressBytes' | 'ask' | 'drain'>

export class WorkerClient {
  /** Readable when something has finished. */
  readonly wake: Fd = makeEventfd()
  readonly #port: MessagePort
  readonly #waiting = new Map<number, Done>()
  readonly #progress = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT))
  #lastId = 0

  constructor(target: WorkerTarget) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const workerData: WorkerData = {
      port: port2,
      wake: this.wake,
      target,
      progress: this.#progress,
    }
    // The process ends when the server does, whatever the worker is at.
    new Worker(WORKER, { workerData, transferList: [port2] }).unref()
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
