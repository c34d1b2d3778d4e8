/**
 * What a saved guest needs of its host before it is resumed, and which may come later, as at boot: all files
 * of its RAM, those that it had, in pools besides the one with its record; and its taps.
 */
import { bootId } from '../../linux/boot-id.ts'
import { poolMounts, setFrozen } from '../../pool/pool-view.ts'
import { isInside } from '../../qemu/memory-backends.ts'
import { tapProblems } from '../../qemu/taps.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { waitUntilFine } from '../../qemu/wait-until-fine.ts'
import { UsageError } from '../../values/errors.ts'
import { readUpdateRecord } from '../kernel/update-record.ts'
import { ramProblems } from '../preflight/ram-problems.ts'
import { hasRamIn } from '../vm-mounts.ts'

/** Whether something is missing that may yet come. */
export const isLate = (definition: VmDefinition): boolean => lateProblems(definition).length > 0

/** Until nothing is missing, or for `timeoutMs`. Never rejects: `checkHost` names what is missing then. */
export const waitForHost = (definition: VmDefinition, timeoutMs: number): Promise<void> =>
  waitUntilFine(() => lateProblems(definition), timeoutMs).catch(() => {})

/** Errors (UsageError): a RAM file is missing or is another one, or a tap is not as it was. */
export function checkGuestsHost(definition: VmDefinition): void {
  const [problem] = [...ramProblems(definition), ...tapProblems(definition)]
  if (problem !== undefined) throw new UsageError(problem)
  thawOthers(definition)
}

/** A file of the pool with the record will not come: that pool is mounted. */
const lateProblems = (definition: VmDefinition): string[] => [
  ...(isSpread(definition) ? ramProblems(definition) : []),
  ...tapProblems(definition),
]

const isSpread = ({ ramFiles, mountPoint }: VmDefinition): boolean =>
  ramFiles.some(({ path }) => !isInside(path, mountPoint))

/**
 * Thaws the guest's other pools, where a kernel update froze them and the next kernel runs: their own
 * resumption may come later. A pool that the operator froze stays frozen.
 */
function thawOthers(definition: VmDefinition): void {
  for (const mount of poolMounts()) {
    const isOther = mount.mountPoint !== definition.mountPoint && hasRamIn(definition, mount.mountPoint)
    const record = isOther ? readUpdateRecord(mount.mountPoint) : undefined
    if (record !== undefined && record.bootId !== bootId()) setFrozen(mount, false)
  }
}
