/**
 * The RAM of a saved guest before it is resumed: each of its files must exist, and be the one that it had.
 * The pool with its record is mounted; others that it has RAM in may come later, as at boot.
 */
import { bootId } from '../../linux/boot-id.ts'
import { poolMounts, setFrozen } from '../../pool/pool-view.ts'
import { isInside } from '../../qemu/memory-backends.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { waitUntilFine } from '../../qemu/wait-until-fine.ts'
import { readUpdateRecord } from '../kernel/update-record.ts'
import { ramProblems } from '../preflight/ram-problems.ts'
import { hasRamIn } from '../vm-mounts.ts'

/** Errors (UsageError): a RAM file is missing or is another one, for `timeoutMs` if a pool may yet come. */
export async function waitForRam(definition: VmDefinition, timeoutMs: number): Promise<void> {
  await waitUntilFine(() => ramProblems(definition), isSpread(definition) ? timeoutMs : 0)
  thawOthers(definition)
}

const isSpread = ({ ramFiles, mountPoint }: VmDefinition): boolean =>
  ramFiles.some(({ path }) => !isInside(path, mountPoint))

/**
 * Thaws the guest's other pools, where a kernel update froze them and the next kernel runs: their own
 * resumption may come later. A pool that a person froze stays frozen.
 */
function thawOthers(definition: VmDefinition): void {
  for (const mount of poolMounts()) {
    const isOther = mount.mountPoint !== definition.mountPoint && hasRamIn(definition, mount.mountPoint)
    const record = isOther ? readUpdateRecord(mount.mountPoint) : undefined
    if (record !== undefined && record.bootId !== bootId()) setFrozen(mount, false)
  }
}
