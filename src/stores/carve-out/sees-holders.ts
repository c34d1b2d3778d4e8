/**
 * The condition for using memory of a carve-out for another file: this process must find every process that
 * maps it, and searches /proc for them (linux/holders.ts). A process that /proc does not show would write
 * into the next file.
 */
import { missingTrace } from '../../linux/capabilities.ts'
import { hiddenProcesses } from '../../linux/pid-namespace.ts'
import { UsageError } from '../../values/errors.ts'
import type { RegionKind } from '../../values/store-kinds.ts'

/** Throws UsageError: one line with what hides processes. */
export function checkSeesHolders(kind: RegionKind, hidden = hiddenProcesses() ?? missingTrace()): void {
  if (hidden === undefined) return
  throw new UsageError(
    `store=${kind} must see every process that could map its memory, and ${hidden}: run it on the host itself, with its own /proc`,
  )
}
