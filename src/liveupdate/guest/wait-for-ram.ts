/**
 * The RAM of a saved guest before it is resumed: all files of it must be there, and be those that it had. The
 * pool with its record is mounted; others that it has RAM in may come later, as at boot.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { bootId } from '../../linux/boot-id.ts'
import { poolMounts, setFrozen } from '../../pool/pool-view.ts'
import { isInside } from '../../qemu/memory-backends.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { UsageError } from '../../values/errors.ts'
import { readUpdateRecord } from '../kernel/update-record.ts'
import { ramProblems } from '../preflight/ram-problems.ts'

const POLL_MS = 100

/** Errors (UsageError): a RAM file is missing or is another one, for `timeoutMs` if a pool may yet come. */
export async function waitForRam(definition: VmDefinition, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const [problem] = ramProblems(definition)
    if (problem === undefined) break
    if (performance.now() >= deadline || !isSpread(definition)) throw new UsageError(problem)
    await sleep(POLL_MS)
  }
  thawOthers(definition)
}

const isSpread = ({ ramFiles, mountPoint }: VmDefinition): boolean =>
  ramFiles.some(({ path }) => !isInside(path, mountPoint))

/**
 * Thaws the guest's other pools, where a kernel update froze them and the next kernel runs: their own
 * resumption may come later. A pool that a person froze stays frozen.
 */
function thawOthers({ ramFiles, mountPoint }: VmDefinition): void {
  for (const mount of poolMounts()) {
    const isOther =
      mount.mountPoint !== mountPoint && ramFiles.some(({ path }) => isInside(path, mount.mountPoint))
    const record = isOther ? readUpdateRecord(mount.mountPoint) : undefined
    if (record !== undefined && record.bootId !== bootId()) setFrozen(mount, false)
  }
}
