/** The program of a dax store's worker thread: it maps device-dax instances of one region. */
import { runWorker } from '../carve-out/run-worker.ts'
import { DaxInstances, type Places } from './dax-instances.ts'

export interface DaxTarget {
  /** The region's folder in sysfs. */
  readonly regionPath: string
  readonly places: Places
}

runWorker(({ regionPath, places }: DaxTarget, onTask) => new DaxInstances(regionPath, places, onTask))
