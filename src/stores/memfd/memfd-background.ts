/** Owns what is done beside the server of a pool of memfds: memory comes back, or is handed over. Both are the keeper's work. */
import type { MemfdArrivals } from './incoming.ts'
import type { MemfdHandOver } from './outgoing.ts'
import type { Background } from '../store.ts'

/** Nothing to look at while neither is under way. */
export function besides(arrivals: MemfdArrivals, handOver: MemfdHandOver): Background {
  return {
    get wake() {
      return arrivals.isUnderWay || handOver.isUnderWay ? arrivals.wake : undefined
    },
    drain: () => {
      arrivals.drain()
      // Sessions that memory is still to come from stay open for the next keeper.
      if (arrivals.wake === undefined && !arrivals.isAnyAwaited) handOver.keeperGone()
    },
    clear: () => false,
    cleared: () => [],
    clearedBytes: 0,
  }
}
