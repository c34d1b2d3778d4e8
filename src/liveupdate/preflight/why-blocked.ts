/** Why a guest's devices keep it from being saved, asked of its QEMU while no other command updates it. */
import { close } from '../../linux/descriptors.ts'
import { blockedReasons, isSetForSave } from '../../qemu/migration.ts'
import type { QmpClient } from '../../qemu/qmp-client.ts'
import { lockForUpdate } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'

export interface Blocked {
  /** In QEMU's words. */
  readonly reasons: readonly string[]
  /** What a person is to know, one line each. */
  readonly remarks: readonly string[]
}

/** Errors (UsageError): another command updates the VM. QemuError: QEMU does not answer. */
export async function whyBlocked(name: string, qmp: QmpClient): Promise<Blocked> {
  const lock = await lockForUpdate(name)
  if (lock === undefined) throw new UsageError('another update of it is under way')
  try {
    const remarks = (await isSetForSave(qmp))
      ? ['a command that was killed had left its QEMU set for a save (cpr-reboot): it is set back']
      : []
    return { reasons: await blockedReasons(qmp), remarks }
  } finally {
    close(lock)
  }
}
