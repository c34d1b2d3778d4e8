/**
 * Owns the worker thread's life: takes jobs from its port, works until none is left, sleeps. What comes of each job goes
 * back through the port, and the eventfd wakes the server's thread. A mistake in here is told there and ends the server.
 */
import { type MessagePort, workerData } from 'node:worker_threads'
import { raiseEventfd } from '../../linux/eventfd.ts'
import { findHolders } from '../../linux/holders.ts'
import type { Fd } from '../../values/ids.ts'
import { Instances, type Places } from './instances.ts'
import type { Job, Result } from './jobs.ts'
import { Work } from './work.ts'

export interface WorkerData {
  readonly port: MessagePort
  readonly wake: Fd
  /** Sysfs folder of the region. */
  readonly regionPath: string
  readonly places: Places
  /** One word: bytes zeroed of the extent under way. */
  readonly progress: BigInt64Array
}

const { port, wake, regionPath, places, progress } = workerData as WorkerData

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

let work: Work | undefined
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
    work ??= new Work({
      instances: new Instances(regionPath, places),
      findHolders: (devices) => findHolders(devices),
      finish: ({ id }, outcome) => tell({ id, ...outcome }),
      progress: (doneBytes) => void Atomics.store(progress, 0, BigInt(doneBytes)),
    })
    work.add(job)
    schedule()
  })
})
