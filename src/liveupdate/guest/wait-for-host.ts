/**
 * What a saved guest needs of its host before it is resumed, and what may come later, as at boot: the files
 * of its RAM in other pools than the one with its record, the same files that it had; its taps; and its
 * devices of VFIO.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { bootId } from '../../linux/boot-id.ts'
import { poolMounts, setFrozen } from '../../pool/pool-view.ts'
import { missingOfHost } from '../../qemu/host-needs.ts'
import { isInside } from '../../qemu/memory-backends.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { UsageError } from '../../values/errors.ts'
import { readUpdateRecord } from '../kernel/update-record.ts'
import { ramProblems } from '../preflight/ram-problems.ts'
import { hasRamIn } from '../vm-mounts.ts'

const POLL_MS = 100

/** Whether something is missing that may yet come. */
export const isLate = (definition: VmDefinition): boolean => lateProblems(definition).length > 0

/**
 * Until nothing is missing, or for `timeoutMs`. Never rejects: `checkGuestsHost` names what is missing then.
 */
export async function waitForHost(definition: VmDefinition, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  try {
    while (isLate(definition) && performance.now() < deadline) await sleep(POLL_MS)
  } catch {
    // `checkGuestsHost` reports it.
  }
}

/** Errors (UsageError): a RAM file is missing or is another one, or the host lacks what it needs. */
export function checkGuestsHost(definition: VmDefinition): void {
  const [problem] = [...ramProblems(definition), ...missingOfHost(definition)]
  if (problem !== undefined) throw new UsageError(problem)
  thawOthers(definition)
}

/** A file of the pool with the record will not come: that pool is mounted. */
const lateProblems = (definition: VmDefinition): string[] => [
  ...(isSpread(definition) ? ramProblems(definition) : []),
  ...missingOfHost(definition),
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
