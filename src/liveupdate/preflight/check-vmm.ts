/**
 * Checks a guest of another VMM than QEMU before it is stopped. What its program has, and whether it can be
 * saved, only its own commands know: the preflight prints that. Must not: run a command of it.
 */
import { close } from '../../linux/descriptors.ts'
import type { NextStart } from '../../qemu/namespaces.ts'
import { mainUnitOf } from '../../qemu/start/guest-unit.ts'
import { ramFileOf, readDefinition } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { unendedVmm } from '../../qemu/vmm/save-vmm.ts'
import { lockForUpdate } from '../../run/vm-runtime.ts'
import { errorText } from '../../values/errors.ts'

const NOT_COMPARED =
  'not compared: not a QEMU: whether it can be saved, and is the same machine afterwards, its own commands alone know'

/** Why it cannot be updated, and what is not known, one line each. */
export async function examineVmm(
  { definition, qemu }: Vm,
  nextQemu: string | undefined,
  next: NextStart,
): Promise<{ readonly problems: readonly string[]; readonly unknown: readonly string[] }> {
  const unit = qemu === undefined || next !== 'here' ? undefined : mainUnitOf(qemu.pid)
  const problems = [
    ...(nextQemu === undefined ? [] : ['it is no QEMU, and --qemu is not for it: name the others']),
    ...(unit === undefined
      ? []
      : [`its unit ${unit.name} would end with its program: start it outside of a unit to update it alone`]),
    ...(await whyNotNow({ definition })),
  ]
  return { problems, unknown: [NOT_COMPARED] }
}

async function whyNotNow({ definition }: Pick<Vm, 'definition'>): Promise<string[]> {
  const lock = await lockForUpdate(definition.name)
  if (lock === undefined) return ['another update of it is under way']
  try {
    // As it is now: another command may have ended its update while this one waited for the lock.
    return [unendedVmm(readDefinition(ramFileOf(definition)) ?? definition) ?? []].flat()
  } catch (error) {
    return [errorText(error)]
  } finally {
    close(lock)
  }
}
