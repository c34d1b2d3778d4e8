/** The program of a devmem store's worker thread: it maps windows of /dev/mem. */
import { runWorker } from '../carve-out/run-worker.ts'
import { DevmemWindows } from './devmem-windows.ts'

export interface DevmemTarget {
  readonly memoryPath: string
  readonly proc: string
}

runWorker(({ memoryPath, proc }: DevmemTarget, onTask) => new DevmemWindows(memoryPath, proc, onTask))
