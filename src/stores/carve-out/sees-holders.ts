/**
 * The condition for giving memory of a carve-out to another file: whoever maps it must be found, and it is
 * looked for in /proc (linux/holders.ts). A process that /proc does not show would write into the next file.
 */
import { hiddenProcesses } from '../../linux/pid-namespace.ts'
import { UsageError } from '../../values/errors.ts'
import type { RegionKind } from '../../values/store-kinds.ts'

/** Errors: UsageError, one line that says what hides processes. */
export function checkSeesHolders(kind: RegionKind, hidden = hiddenProcesses()): void {
  if (hidden === undefined) return
  throw new UsageError(
    `store=${kind} must see every process that could map its memory, and ${hidden}: run it on the host itself, with its own /proc`,
  )
}
