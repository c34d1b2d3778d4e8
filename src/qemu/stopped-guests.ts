/**
 * Guests that stand still in a live QEMU because an update ended in the middle of it: killed, or left behind
 * by its terminal. The record tells of those that were put on it as saved; of those that were not, QEMU does.
 */
import * as v from 'valibot'
import { vmPaths } from '../run/vm-runtime.ts'
import { isMigrated, runStatus } from './migration.ts'
import { QmpClient } from './qmp-client.ts'
import type { Vm } from './vm-list.ts'

/** A QEMU that hangs must not hold up a list of all guests. */
const TIMEOUT_MS = 1000
/** Saved, about to be, or loaded and not yet told to run. */
const STOPPED = ['postmigrate', 'finish-migrate', 'paused']
const ModeSchema = v.object({ mode: v.optional(v.string()) })

/** Those of `vms` that `resume` brings back, though their QEMU lives. */
export async function stoppedByUpdate(vms: readonly Vm[]): Promise<Set<Vm>> {
  const found = await Promise.all(vms.map(async (vm) => ((await isStopped(vm)) ? [vm] : [])))
  return new Set(found.flat())
}

async function isStopped({ state, definition }: Vm): Promise<boolean> {
  if (state !== 'running') return false
  if (definition.saved !== null) return true
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.connect(vmPaths(definition.name).qmp, TIMEOUT_MS)
    const { status } = await runStatus(qmp)
    if (!STOPPED.includes(status)) return false
    // Else a person has migrated it to another host, where it runs: it must not run here as well.
    const { mode } = v.parse(ModeSchema, await qmp.execute('query-migrate-parameters', {}, TIMEOUT_MS))
    if (mode !== 'cpr-reboot') return false
    // A person may have paused it: an update that comes to its end leaves no cpr-reboot behind.
    return status !== 'paused' || (await isMigrated(qmp))
  } catch {
    return false
  } finally {
    qmp?.close()
  }
}
