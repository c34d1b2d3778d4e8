/**
 * Whether the next kernel has the memory nodes that guests ask for: mbind(2) refuses a node that is not
 * there, and QEMU does not start. Pure but for what is read of RAM files.
 */
import { splitCommandLine } from '../../linux/memory-info.ts'
import { type AskedNodes, nodesForKernel } from '../../qemu/host-nodes.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { UsageError } from '../../values/errors.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'

/** Words by which a kernel has other nodes than the firmware describes, or one alone. */
const CHANGES_NODES = /^(?:numa=|acpi=off$)/
const ONE_NODE = /^(?:numa=off|acpi=off)$/

type Asks = (guest: VmDefinition) => readonly AskedNodes[]

/** `asks`: of a guest; tests have their own. */
export function checkNextNodes(
  lines: { readonly current: string; readonly next: string },
  guests: readonly VmDefinition[],
  asks: Asks = nodesForKernel,
): Finding[] {
  const [now, then] = [lines.current, lines.next].map((line) =>
    splitCommandLine(line).filter((word) => CHANGES_NODES.test(word)),
  ) as [string[], string[]]
  if (now.join() === then.join()) return []
  const words = then.length === 0 ? `no ${now.join(' ')}` : then.join(' ')
  const isOne = then.some((word) => ONE_NODE.test(word))
  return guests.flatMap((guest) => {
    const nodes = askedBy(guest, asks)
    if (nodes.length === 0 || (isOne && nodes.every((node) => node === 0))) return []
    const subject = `VM ${guest.name}`
    const line = `${subject} asks for memory node ${nodes.join(', ')} (host-nodes=), and the next kernel's command line has ${words}`
    return isOne
      ? fail(subject, `${line}: its QEMU would not start`)
      : warn(subject, `${line}: its nodes may be others`)
  })
}

/** Ascending. Of a guest whose RAM files cannot be read other checks report that. */
function askedBy(guest: VmDefinition, asks: Asks): number[] {
  try {
    return [...new Set(asks(guest).flatMap(({ nodes }) => nodes))].toSorted((a, b) => a - b)
  } catch (error) {
    if (error instanceof UsageError) return []
    throw error
  }
}
