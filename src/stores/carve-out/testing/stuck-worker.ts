/** The program of a worker that never answers: it hangs, or its thread ends, at the first device it makes. */
import type { Instance, RangeMapper } from '../range-mapper.ts'
import { runWorker } from '../run-worker.ts'

export interface StuckTarget {
  readonly how: 'hangs' | 'ends' | 'is ended'
}

function stick(how: StuckTarget['how']): never {
  if (how === 'hangs') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  // A thread that runs out of memory ends without a report.
  if (how === 'is ended') process.removeAllListeners('exit')
  process.exit(3)
}

runWorker(({ how }: StuckTarget): RangeMapper => {
  const nothing = () => undefined
  const make = (): Instance => stick(how)
  return {
    exactly: nothing,
    overlapping: () => [],
    make,
    destroy: nothing,
    map: () => stick(how),
    holders: () => new Map(),
  }
})
