/**
 * The process that is the main one of a guest's unit from the end of its old QEMU until it becomes the next
 * one: the manager would end the unit, with all of its processes, where its main process ends.
 */
import { type GuestUnit, moveMainProcess } from '../../qemu/start/guest-unit.ts'
import { startBeside } from '../../qemu/start/start-beside.ts'
import type { Started } from '../../qemu/start/start-process.ts'
import { endLeftOver } from '../../qemu/successor/left-over.ts'
import type { VmDefinition } from '../../qemu/vm-definition.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { UsageError } from '../../values/errors.ts'

/**
 * While the old QEMU `qemu` is there. undefined: it is no unit's main process. Errors (QemuError,
 * UsageError): it does not start, or the manager does not take it.
 */
export async function startPlaceholder(
  unit: GuestUnit | undefined,
  definition: VmDefinition,
  qemu: ProcessIdentity,
  timeoutMs: number,
): Promise<Started | undefined> {
  if (unit === undefined) return undefined
  const placeholder = await startBeside({
    how: 'placeholder',
    definition,
    former: qemu,
    underInit: true,
    timeoutMs,
  })
  if (await moveMainProcess(unit, qemu.pid, placeholder.process.pid)) return placeholder
  await endPlaceholder(unit, definition, placeholder, qemu)
  throw new UsageError(`its unit ${unit.name} does not take its next QEMU over`)
}

/** The guest stays in its old QEMU, which is the unit's main process again. */
export async function endPlaceholder(
  unit: GuestUnit | undefined,
  { name }: VmDefinition,
  placeholder: Started | undefined,
  qemu: ProcessIdentity,
): Promise<void> {
  if (unit === undefined || placeholder === undefined) return
  await moveMainProcess(unit, placeholder.process.pid, qemu.pid)
  await endLeftOver(name)
}
