/** Owns what is done beside the server of a pool of memfds: memory comes back, or is handed over. Both are the keeper's work. */

import type { Background } from '../store.ts'
import type { IncomingMemfds } from './incoming.ts'
import type { OutgoingMemfds } from './outgoing.ts'

/** Nothing to look at while neither is under way. */
export function besides(incoming: IncomingMemfds, handover: OutgoingMemfds): Background {
  return {
    get wake() {
      return incoming.isBusy || handover.isBusy ? incoming.wake : undefined
    },
    drain: () => {
      incoming.drain()
      // Sessions that memory is still to come from stay open for the next keeper.
      if (incoming.wake === undefined && !incoming.isAnyIncoming) handover.keeperDied()
    },
    clear: () => false,
    cleared: () => [],
    clearedBytes: 0,
  }
}
