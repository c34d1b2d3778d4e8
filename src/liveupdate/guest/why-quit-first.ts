/**
 * Why the old QEMU of a guest must end before its next one is started, in an update of QEMU alone. Must not:
 * start or end anything.
 */
import type { TriedLine } from '../../qemu/carry/next-line.ts'
import { clashesOf } from '../../qemu/successor/clashes.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'

/** Of another VMM. */
export const NO_QEMU = 'it is no QEMU'

/** Where the next QEMU would wait. */
export interface BesideQemu {
  /** Of the QEMU that has the guest. */
  readonly pid: number
  /** As of `SuccessorRoom`. */
  readonly hasRoom: boolean
}

/** `tried`: what the preflight found. null: the next QEMU can wait beside the old one. */
export function whyQuitFirst(
  { vmm, before = [], after = [] }: VmDefinition,
  tried: TriedLine | undefined,
  { pid, hasRoom }: BesideQemu,
): string | null {
  if (vmm !== undefined) return NO_QEMU
  if (!hasRoom) return 'there is no room for a second QEMU'
  if (before.length + after.length > 0) return 'it has --before or --after'
  if (tried === undefined) return 'its next QEMU was not tried'
  if (tried.unproven.length > 0) return `its next QEMU could not be tried: ${tried.unproven.join(', ')}`
  const clashes = clashesOf(tried.argv, pid)
  if (clashes.length > 0) return `one process alone can have ${clashes.join(', ')}`
  // Where its successor failed it would have to go on in the QEMU that has saved it.
  return tried.isSavedSuspended ? 'it is saved suspended, which is not undone in its QEMU' : null
}
