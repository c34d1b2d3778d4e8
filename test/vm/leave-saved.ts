/** A guest that an update leaves saved, as where its next QEMU does not start. */
import assert from 'node:assert/strict'
import type { MoodyQemu } from './fake-qemu.ts'
import { updateVmm, type VmPool } from './support.ts'

/** Of the pool's first guest, whose program is `qemu`; afterwards that starts as any other. */
export async function leaveSaved(pool: VmPool, qemu: MoodyQemu): Promise<void> {
  qemu.set('exit 7')
  assert.equal((await updateVmm(pool)).report.vms[0]?.outcome, 'saved')
  qemu.reset()
}
