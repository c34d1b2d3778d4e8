/**
 * The loop of a store's worker thread: receives jobs through its port, works until none is left, and waits
 * for more. It sends each result back through the port, and raises the eventfd that wakes the server's
 * thread. It reports an exception there, too, which ends the server. The thread's program is a file of the
 * store, which provides the `RangeMapper`.
 */
import { type MessagePort, workerData } from 'node:worker_threads'
import { raiseEventfd } from '../../linux/eventfd.ts'
import type { Fd } from '../../values/ids.ts'
import type { Job, Result } from './jobs.ts'
import type { RangeMapper } from './range-mapper.ts'
import { WorkQueue } from './work-queue.ts'
import { countStep, recordThread, type StepWords } from './worker-watch.ts'

export interface WorkerData {
  readonly port: MessagePort
  readonly wake: Fd
  /** What the store gave its `WorkerClient`: a plain value, since it is copied into another thread. */
  readonly target: unknown
  /** One word: bytes zeroed of the extent under way. */
  readonly progress: BigInt64Array
  readonly stepWords: StepWords
}

/**
 * `mapperOf`: called once, with the target, when the first job comes. The mapper calls `onTask` for each
 * process that it has looked at: other users can make a search of all processes take long, and that must not
 * count as a hang.
 */
export function runWorker<Target>(mapperOf: (target: Target, onTask: () => void) => RangeMapper): void {
  const { port, wake, target, progress, stepWords } = workerData as WorkerData & { readonly target: Target }

  const report = (result: Result): void => {
    port.postMessage(result)
    raiseEventfd(wake)
  }

  /** Nothing may be done after an exception: the state of the region is unknown then. */
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

  recordThread(stepWords)
  // A thread that exits reports it; one that is killed (out of memory) is noticed by `WorkerWatch`.
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
      countStep(stepWords)
      if (againMs === 0) schedule()
      else if (againMs !== undefined) timer = setTimeout(schedule, againMs)
    })
  }

  /**
   * Lets a message be received between two steps: its job may be more urgent than the next slice of zeroing.
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
        mapper: mapperOf(target, () => countStep(stepWords)),
        finish: ({ id }, outcome) => report({ id, ...outcome }),
        progress: (doneBytes) => void Atomics.store(progress, 0, BigInt(doneBytes)),
      })
      work.add(job)
      countStep(stepWords)
      schedule()
    })
  })
}
