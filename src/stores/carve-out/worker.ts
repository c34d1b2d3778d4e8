/**
 * Owns the worker thread's life: takes jobs from its port, works until none is left, sleeps. What comes of each job goes
 * back through the port, and the eventfd wakes the server's thread. A mistake in here is told there and ends the server.
 */
import { type MessagePort, workerData } from 'node:worker_threads'
import { raiseEventfd } from '../../linux/eventfd.ts'
import type { Fd } from '../../values/ids.ts'
import { DaxInstances, type Places } from '../dax/instances.ts'
import { DevmemWindows } from '../devmem/windows.ts'
import type { RangeMapper } from './instances.ts'
import type { Job, Result } from './jobs.ts'
import { WorkQueue } from './work-queue.ts'

/** What the worker is set to work on. A plain value: it crosses over into another thread. */
export type WorkerTarget =
  /** `regionPath`: sysfs folder of the region. */
  | { readonly kind: 'dax'; readonly regionPath: string; readonly places: Places }
  | { readonly kind: 'devmem'; readonly memoryPath: string; readonly proc: string }

export interface WorkerData {
  readonly port: MessagePort
  readonly wake: Fd
  readonly target: WorkerTarget
  /** One word: bytes zeroed of the extent under way. */
  readonly progress: BigInt64Array
}

const { port, wake, target, progress } = workerData as WorkerData

const tell = (result: Result): void => {
  port.postMessage(result)
  raiseEventfd(wake)
}

/** Nothing may be done after a mistake: what the region looks like is not known any more. */
let broken = false
const guarded = (work: () => void): void => {
  if (broken) return
  try {
    work()
  } catch (error) {
    broken = true
    tell({ id: 0, kind: 'broken', reason: error instanceof Error ? String(error.stack) : String(error) })
  }
}

const tableOf = (place: WorkerTarget): RangeMapper =>
  place.kind === 'dax'
    ? new DaxInstances(place.regionPath, place.places)
    : new DevmemWindows(place.memoryPath, place.proc)

let work: WorkQueue | undefined
let timer: NodeJS.Timeout | undefined
let isScheduled = false

const step = (): void => {
  isScheduled = false
  guarded(() => {
    const againMs = work?.step()
    if (againMs === 0) schedule()
    else if (againMs !== undefined) timer = setTimeout(schedule, againMs)
  })
}

/** A message that has come is taken between two steps: it may be more urgent than the next slice of zeroing. */
const schedule = (): void => {
  clearTimeout(timer)
  if (isScheduled) return
  isScheduled = true
  setImmediate(step)
}

port.on('message', (job: Job) => {
  guarded(() => {
    work ??= new WorkQueue({
      instances: tableOf(target),
      finish: ({ id }, outcome) => tell({ id, ...outcome }),
      progress: (doneBytes) => void Atomics.store(progress, 0, BigInt(doneBytes)),
    })
    work.add(job)
    schedule()
  })
})
