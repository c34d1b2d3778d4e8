/**
 * The watch over a store's worker. The server's thread blocks in poll(2) and runs no event loop, so it gets
 * no event when the worker ends, and requests that wait for the worker would wait without an end. Instead it
 * reads a counter of steps that both threads share, and looks for the thread in /proc.
 */
import { isThreadAlive, threadId } from '../../linux/process.ts'
import { GIB } from '../../values/units.ts'

/** Shared by both threads: the worker's thread id, 0 until it has started, and how many steps it has made. */
const WORD = { threadId: 0, steps: 1 } as const
export type StepWords = Int32Array

export const makeStepWords = (): StepWords => new Int32Array(new SharedArrayBuffer(8))

/** Called by the worker: its program has started. */
export const recordThread = (words: StepWords): void => void Atomics.store(words, WORD.threadId, threadId())
/** Called by the worker: it has received a job, or made a step of one. */
export const countStep = (words: StepWords): void => void Atomics.add(words, WORD.steps, 1)

/** How often the server looks. */
export const CHECK_MS = 500
/** A step is one sysfs write, one task of /proc searched, one slice of zeroing: some ten milliseconds. */
const STEP_MS = 4000
/** Starting a thread means reading its program; on a machine that has just booted that is slow. */
const START_MS = 30_000
/** The kernel sets up the pages of a device that is made: many gigabytes take seconds. */
const MS_PER_GIB = 100

export class WorkerWatch {
  readonly #words: StepWords
  readonly #nowMs: () => number
  #steps = 0
  #silentMs = 0
  #checkedAtMs: number | undefined

  constructor(words: StepWords, nowMs = (): number => performance.now()) {
    this.#words = words
    this.#nowMs = nowMs
  }

  /** Called when no job is under way: the worker makes no steps then. */
  reset(): void {
    this.#checkedAtMs = undefined
    this.#silentMs = 0
  }

  /**
   * Called every CHECK_MS while jobs about `bytes` are under way. Returns why the server stops waiting for
   * the worker; undefined: it waits on. Time in which this was not called does not count, because the worker
   * may have been stopped together with this thread.
   */
  check(bytes: number): string | undefined {
    const nowMs = this.#nowMs()
    const sinceMs = nowMs - (this.#checkedAtMs ?? nowMs)
    if (this.#checkedAtMs !== undefined && sinceMs < CHECK_MS / 2) return undefined
    this.#checkedAtMs = nowMs
    const steps = Atomics.load(this.#words, WORD.steps)
    this.#silentMs = steps === this.#steps ? this.#silentMs + Math.min(sinceMs, 2 * CHECK_MS) : 0
    this.#steps = steps
    const thread = Atomics.load(this.#words, WORD.threadId)
    if (thread !== 0 && !isThreadAlive(thread)) return 'has died'
    const limitMs = (thread === 0 ? START_MS : STEP_MS) + (bytes / GIB) * MS_PER_GIB
    return this.#silentMs >= limitMs ? `has made no step for ${Math.round(this.#silentMs)} ms` : undefined
  }
}
