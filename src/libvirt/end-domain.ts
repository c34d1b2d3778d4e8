/**
 * The end of a saved domain's old QEMU, which libvirt destroys. The caller holds the domain's lock. Must not:
 * undo a save.
 */
import { activeId } from './domain-state.ts'
import type { DomainTools } from './save-domain.ts'

/**
 * Returns when libvirt has no QEMU of it any more, whoever has ended that: the guest is saved. Errors:
 * QemuError, libvirt refuses and the QEMU is still there; VirshLateError, libvirt may yet end it, so that the
 * guest must not be continued in it.
 */
export async function endSavedQemu(uuid: string, { run }: Pick<DomainTools, 'run'>): Promise<void> {
  try {
    await run(['destroy', uuid])
  } catch (error) {
    // Where libvirt does not even answer this, the QEMU counts as being there.
    const id = await activeId(uuid, run).catch(() => null)
    if (id !== undefined) throw error
  }
}
