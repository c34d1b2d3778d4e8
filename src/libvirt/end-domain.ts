/**
 * The end of a saved domain's old QEMU, which libvirt destroys, and the last look at it before that or before
 * the jump. The caller holds the domain's lock. Must not: undo a save.
 */
import { checkStillSaved } from '../qemu/save.ts'
import { errorText, QemuError } from '../values/errors.ts'
import { DomainMonitor } from './domain-monitor.ts'
import { activeId } from './domain-state.ts'
import type { DomainTools } from './save-domain.ts'
import type { Virsh } from './virsh.ts'

/** False: it has no QEMU any more, and the guest is saved. Errors (QemuError): as of `checkStillSaved`. */
export async function isStillStopped(uuid: string, { run }: Pick<DomainTools, 'run'>): Promise<boolean> {
  try {
    await checkStillSaved(new DomainMonitor(uuid, run))
    return true
  } catch (cause) {
    if (await hasEnded(uuid, run)) return false
    // libvirt was asked for nothing that it may do later.
    throw new QemuError(errorText(cause), { cause })
  }
}

/**
 * Returns when libvirt has no QEMU of it any more, whoever has ended that: the guest is saved. Errors:
 * QemuError, libvirt refuses, or the guest is not as it was saved, and the QEMU is still there;
 * VirshLateError, libvirt may yet end it, so that the guest must not be continued in it.
 */
export async function endSavedQemu(uuid: string, tools: Pick<DomainTools, 'run'>): Promise<void> {
  if (!(await isStillStopped(uuid, tools))) return
  try {
    await tools.run(['destroy', uuid])
  } catch (error) {
    if (!(await hasEnded(uuid, tools.run))) throw error
  }
}

/** Where libvirt does not even answer this, the QEMU counts as being there. */
async function hasEnded(uuid: string, run: Virsh): Promise<boolean> {
  return (await activeId(uuid, run).catch(() => null)) === undefined
}
