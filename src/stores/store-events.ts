/** The facet of a store that works beside the thread that serves requests. Types alone. */
import type { Fd } from '../values/ids.ts'

/** One descriptor signals the end of such work. */
export interface StoreEvents {
  /** Readable when something finished. undefined: nothing is under way, and nothing need be polled. */
  readonly fd: Fd | undefined
  /**
   * Receives what finished; then `fd` is not readable any more, and the server retries operations that had to
   * wait.
   */
  drain(): void
  /** The interval of `check`; undefined: nothing is under way that could die or hang. */
  readonly checkMs?: number | undefined
  /**
   * Ends this process where the thread of that work has died or hangs: requests would wait for it without an
   * end.
   */
  check?(): void
}
