/** Notices changes of the mounts in this process's mount namespace: `mounts_poll` in fs/proc_namespace.c. */
import { openSync } from 'node:fs'
import { libcCall } from './library.ts'

const poll = libcCall('poll', 'int', ['void *', 'ulong', 'int'])

/** Must be kept until the process ends. */
export class MountWatch {
  /** One struct pollfd {int fd; short events, revents}: POLLERR needs no bit in `events`. */
  readonly #pollfd = Int32Array.of(openSync('/proc/self/mountinfo', 'r'), 0)

  /** Whether a mount was added, removed or changed since the last call. Never waits. */
  hasChanged(): boolean {
    // SAFETY: poll reads and writes the one pollfd there is, which is reachable during the call.
    return poll(this.#pollfd, 1, 0) > 0
  }
}
