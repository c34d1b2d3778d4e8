/**
 * The RAM files of a guest, checked before a QEMU is started: QEMU would make a missing one anew, empty and
 * without an error, and would take another file of the same name.
 */
import { exchangedRam } from '../../qemu/ram-claims.ts'
import { ramFileBytes } from '../../qemu/ram-file.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import { errorText } from '../../values/errors.ts'

/** One line for each file that is missing, smaller than the RAM, or not the one that the guest had. */
export function ramProblems(definition: VmDefinition): string[] {
  try {
    const missing = definition.ramFiles.flatMap(missingRam)
    return missing.length > 0 ? missing : exchangedRam(definition)
  } catch (error) {
    return [errorText(error)]
  }
}

function missingRam({ path, sizeBytes }: VmDefinition['ramFiles'][number]): string[] {
  const bytes = ramFileBytes(path)
  if (bytes === undefined) return [`its RAM file ${path} is missing`]
  return bytes < sizeBytes ? [`its RAM file ${path} is smaller than the guest's RAM`] : []
}
