/**
 * The life of a store's worker thread: receives jobs through its port, works until none is left, sleeps. What
 * comes of each job goes back through the port, and the eventfd wakes the server's thread. A mistake in here
 * is reported there and ends the server. The thread's program is a file of the store, which says how ranges
 * are mapped.
 */
import { type MessagePort, workerData } from 'node:worker_threads'
import { raiseEventfd } from '../../linux/eventfd.ts'
import type { Fd } from '../../values/ids.ts'
import type { Job, Result } from './jobs.ts'
import type { RangeMapper } from './range-mapper.ts'
import { WorkQueue } from './work-queue.ts'
import { beat, beginPulse, type PulseWords } from './worker-watch.ts'

export interface WorkerData {
  readonly port: MessagePort
  readonly wake: Fd
  /** What the store gave its `WorkerClient`: a plain value, since it crosses over into another thread. */
  readonly target: unknown
  /** One word: bytes zeroed of the extent under way. */
  readonly progress: BigInt64Array
  readonly pulse: PulseWords
}

/**
 * `mapperOf`: called once, with the target, when the first job comes. `onTask`: what the mapper calls for
 * each process that it has looked at: a look through all of them takes as long as other users make it take,
 * and is no hang.
 */
export function runWorker<Target>(mapperOf: (target: Target, onTask: () => void) => RangeMapper): void {
  const { port, wake, target, progress, pulse } = workerData as WorkerData & { readonly target: Target }

  const report = (result: Result): void => {
    port.postMessage(result)
    raiseEventfd(wake)
  }

  /** Nothing may be done after a mistake: what the region looks like is not known any more. */
  let isBroken = false
  const guarded = (work: () => void): void => {
    if (isBroken) return
    try {
      work()
    } catch (error) {
      isBroken = true
      report({ id: 0, kind: 'broken', reason: error instanceof Error ? String(error.stack) : String(error) })
    }
  }

  beginPulse(pulse)
  // A thread that ends by itself says so; one that is ended (out of memory) is found missing.
  process.on('exit', (code) => {
    if (!isBroken) report({ id: 0, kind: 'broken', reason: `its thread ended with ${code}` })
  })

  let work: WorkQueue | undefined
  let timer: NodeJS.Timeout | undefined
  let isScheduled = false

  const step = (): void => {
    isScheduled = false
    guarded(() => {
      const againMs = work?.step()
      beat(pulse)
      if (againMs === 0) schedule()
      else if (againMs !== undefined) timer = setTimeout(schedule, againMs)
    })
  }

  /**
   * A message that has come is taken between two steps: it may be more urgent than the next slice of zeroing.
   */
  const schedule = (): void => {
    clearTimeout(timer)
    if (isScheduled) return
    isScheduled = true
    setImmediate(step)
  }

  port.on('message', (job: Job) => {
    guarded(() => {
      work ??= new WorkQueue({
        mapper: mapperOf(target, () => beat(pulse)),
        finish: ({ id }, outcome) => report({ id, ...outcome }),
        progress: (doneBytes) => void Atomics.store(progress, 0, BigInt(doneBytes)),
      })
      work.add(job)
      beat(pulse)
      schedule()
    })
  })
}
