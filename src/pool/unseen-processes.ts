/**
 * Whether a pool that no process is found to hold may be held all the same, by one that /proc does not show
 * to this process: in a container, or below `hidepid=`. No command calls such a pool lost, reuses its name or
 * removes its record (docs/internals/ownership.md).
 */
import { missingTrace } from '../linux/capabilities.ts'
import { hiddenInNamespace, hiddenProcesses, isForeignProc, ownPidNamespace } from '../linux/pid-namespace.ts'
import { UsageError } from '../values/errors.ts'
import type { Lost } from './remains.ts'

/**
 * Why they cannot be seen, for the end of a message. undefined: no keeper and no server of it is hidden. Both
 * are in the pid namespace that the record names: this process sees them only if that is its own.
 */
export function whyUnseen({ pidNamespace }: Lost): string | undefined {
  const isOwn = pidNamespace !== undefined && pidNamespace === ownPidNamespace()
  return (isOwn ? hiddenInNamespace() : hiddenProcesses()) ?? missingTrace()
}

/** Throws UsageError where a process that is not seen may hold the pool, which none that is seen does. */
export function checkSeen(lost: Lost): void {
  const why = whyUnseen(lost)
  if (why !== undefined)
    throw new UsageError(
      `pool '${lost.pool}' may have processes that cannot be seen from here, with all of its memory: ${why}; run it on the host itself, with its own /proc`,
    )
}

/**
 * Throws UsageError where /proc is that of another pid namespace: the pids in it are those of other processes
 * to every call that signals or looks at one.
 */
export function checkOwnProc(): void {
  if (isForeignProc())
    throw new UsageError(
      "/proc is that of another pid namespace: mount one of its own ('mount -t proc proc /proc')",
    )
}
