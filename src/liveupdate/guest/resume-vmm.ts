/**
 * The resumption of a saved guest of another VMM than QEMU: its state is checked, and its `--start` is run.
 */
import { checkStateFile, type SavedState } from '../../qemu/saved-state.ts'
import { startSaved } from '../../qemu/start/start-saved.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { isTaken, startVmm } from '../../qemu/vmm/start-vmm.ts'
import { vmPaths } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'
import { checkGuestsHost } from './wait-for-host.ts'

export interface VmmResumption {
  /** Its `saved` is not null, and no program runs it. */
  readonly vm: Vm
  readonly nextQemu: string | undefined
  readonly timeoutMs: number
  readonly onStep: (step: 'launch' | 'continue') => void
}

/**
 * Returns the definition on record. Errors (UsageError, QemuError, CorruptBytesError): the guest is not
 * resumed; its RAM is kept.
 */
export async function resumeVmm({ vm, nextQemu, timeoutMs, onStep }: VmmResumption): Promise<VmDefinition> {
  const { definition } = vm
  const { name } = definition
  if (nextQemu !== undefined) throw new UsageError('it is no QEMU: leave out --qemu')
  if (isTaken(definition))
    throw new UsageError(
      `it went on from its saved state, and its program (see ${vmPaths(name).log}) has ended since: nothing is left to resume, start it anew with 'guestmemfs run --replace'`,
    )
  await checkStateFile(definition.saved as SavedState, timeoutMs)
  checkGuestsHost(definition)
  const { before, ended } = await startSaved(definition, timeoutMs)
  return await startVmm({ definition, before, ...(ended && { ended }), timeoutMs, onStep })
}
