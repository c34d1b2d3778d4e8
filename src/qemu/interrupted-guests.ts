/**
 * Guests whose update began and did not end, since its command was killed or lost its terminal. The VM's
 * record says whether the guest was saved and whether an update had begun; QEMU's state says how far it came.
 */
import * as v from 'valibot'
import { close } from '../linux/descriptors.ts'
import { tryLock, vmPaths } from '../run/vm-runtime.ts'
import { runStatus } from './migration.ts'
import { QmpClient } from './qmp-client.ts'
import type { VmDefinition } from './vm-definition.ts'
import type { Vm } from './vm-list.ts'

/** A QEMU that hangs must not hold up a list of all guests. */
const TIMEOUT_MS = 1000
const ModeSchema = v.object({ mode: v.optional(v.string()) })

/**
 * `stopped`: the guest is stopped in a QEMU that runs. `running`: it was not stopped yet, and its QEMU is
 * still set to cpr-reboot: an ordinary migration would leave its RAM out.
 */
export type Interrupted = 'stopped' | 'running'

/** Those of `vms` that `resume` must continue, or whose mode it must reset, though their QEMU runs. */
export async function interruptedByUpdate(vms: readonly Vm[]): Promise<Map<Vm, Interrupted>> {
  const found = await Promise.all(vms.map(async (vm) => [vm, await lookAt(vm)] as const))
  return new Map(found.filter((pair): pair is [Vm, Interrupted] => pair[1] !== undefined))
}

async function lookAt({ state, definition }: Vm): Promise<Interrupted | undefined> {
  if (state !== 'running') return undefined
  if (definition.saved !== null) return 'stopped'
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.connect(vmPaths(definition.name).qmp, TIMEOUT_MS)
    const { status } = await runStatus(qmp)
    // A guest that a person has migrated to another host is stopped as well, in another mode: it must not run
    // here too.
    const { mode } = v.parse(ModeSchema, await qmp.execute('query-migrate-parameters', {}, TIMEOUT_MS))
    if (mode !== 'cpr-reboot') return undefined
    if (status === 'postmigrate' || status === 'finish-migrate') return 'stopped'
    // No update has begun: a person has paused the guest, and a preflight was killed before it reset the
    // mode.
    if (definition.underUpdate === undefined) return undefined
    if (status === 'paused') return 'stopped'
    return isUpdateGone(definition) ? 'running' : undefined
  } catch {
    return undefined
  } finally {
    qmp?.close()
  }
}

/** No process updates it now. */
function isUpdateGone({ name }: VmDefinition): boolean {
  const lock = tryLock(vmPaths(name).updateLock)
  if (lock !== undefined) close(lock)
  return lock !== undefined
}
