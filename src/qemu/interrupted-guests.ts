/**
 * Guests whose update began and did not end: its command was killed, or left behind by its terminal. The
 * record tells of those that were saved, and that an update had begun; how far it came, QEMU tells.
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
 * `stopped`: it stands still in a QEMU that lives. `running`: it was not stopped yet, and its QEMU is set for
 * an update: an ordinary migration of it would leave its RAM behind.
 */
export type Interrupted = 'stopped' | 'running'

/** Those of `vms` that `resume` has to bring back, or to set right, though their QEMU lives. */
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
    // Else a person has migrated it to another host, where it runs: it must not run here as well.
    const { mode } = v.parse(ModeSchema, await qmp.execute('query-migrate-parameters', {}, TIMEOUT_MS))
    if (mode !== 'cpr-reboot') return undefined
    if (status === 'postmigrate' || status === 'finish-migrate') return 'stopped'
    // Without the mark a person has paused it, while a preflight of nobody's update was killed.
    if (definition.underUpdate === undefined) return undefined
    if (status === 'paused') return 'stopped'
    return isUpdateGone(definition) ? 'running' : undefined
  } catch {
    return undefined
  } finally {
    qmp?.close()
  }
}

/** Nobody updates it now. */
function isUpdateGone({ name }: VmDefinition): boolean {
  const lock = tryLock(vmPaths(name).updateLock)
  if (lock !== undefined) close(lock)
  return lock !== undefined
}
