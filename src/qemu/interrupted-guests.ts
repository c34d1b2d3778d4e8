/**
 * Guests whose update began and did not end, since its command was killed or lost its terminal. The VM's
 * record says whether the guest was saved and whether an update had begun; QEMU's state says how far it came.
 */
import { close } from '../linux/descriptors.ts'
import { tryLock, vmPaths } from '../run/vm-runtime.ts'
import { runStatus } from './migration.ts'
import { isSetForSave, leavesRamOut } from './migration-settings.ts'
import { QmpClient } from './qmp-client.ts'
import { isWoken, ramFileOf, readDefinition, type VmDefinition } from './vm-definition.ts'
import type { Vm } from './vm-list.ts'

/** A QEMU that hangs must not delay a list of all guests. */
const TIMEOUT_MS = 1000

/**
 * `stopped`: the guest is stopped in a QEMU that runs. `set`: an update or a preflight was killed before it
 * stopped the guest, which runs, or is paused as the operator left it, and its QEMU is still set to
 * cpr-reboot: an ordinary migration may leave its RAM out. `begun`: the guest runs, or is suspended by
 * itself, and all that is left of its update is the record of it, perhaps with an empty state file. `asked`:
 * so it is, and its agent was asked to suspend it.
 */
export type Interrupted = 'stopped' | 'set' | 'begun' | 'asked'

/** Those of `vms` that `resume` must continue, or whose mode it must reset, though their QEMU runs. */
export async function interruptedByUpdate(vms: readonly Vm[]): Promise<Map<Vm, Interrupted>> {
  const found = await Promise.all(vms.map(async (vm) => [vm, await lookAt(vm)] as const))
  return new Map(found.filter((pair): pair is [Vm, Interrupted] => pair[1] !== undefined))
}

/** States in which an update leaves a guest that it has stopped. */
const STOPPED = ['postmigrate', 'finish-migrate', 'paused']

async function lookAt({ state, definition }: Vm): Promise<Interrupted | undefined> {
  if (state !== 'running') return undefined
  if (definition.saved !== null) return 'stopped'
  // Whether another VMM has stopped its guest is not known: `resume` has it go on.
  if (definition.vmm !== undefined)
    return (await isLeft(definition, isUnderUpdate).catch(() => false)) ? 'stopped' : undefined
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.connect(vmPaths(definition.name).qmp, TIMEOUT_MS)
    qmp.patienceMs = TIMEOUT_MS
    const { status } = await runStatus(qmp)
    // It was suspended for an update that did not come to its save.
    if (status === 'suspended' && (await isLeft(definition, isAsleep))) return 'stopped'
    // A guest that the operator has migrated to another host is stopped as well, in another mode: it must not
    // run here too.
    if (!(await isSetForSave(qmp))) {
      const isAsItWas = status === 'running' || status === 'suspended'
      if (!isAsItWas || !(await isLeft(definition, isUnderUpdate))) return undefined
      return isWoken(definition) ? 'asked' : 'begun'
    }
    // Where no update has begun, the operator has paused the guest, or has migrated it away in the mode that
    // a killed preflight had left.
    if (STOPPED.includes(status) && definition.underUpdate !== undefined) return 'stopped'
    // An update of a former version is on no record before the guest is saved.
    if (status === 'postmigrate' || status === 'finish-migrate')
      return (await leavesRamOut(qmp)) ? 'stopped' : undefined
    const asked = qmp
    return (await isLeft(definition, () => isSetForSave(asked))) ? 'set' : undefined
  } catch {
    // `resume` waits longer for an answer, and reports the error.
    const isOurs = await isLeft(definition, isUnderUpdate).catch(() => false)
    return isOurs ? 'stopped' : undefined
  } finally {
    qmp?.close()
  }
}

/** What `ask` answers under the VM's update lock: a command that holds it ends its update by itself. */
async function isLeft(
  definition: VmDefinition,
  ask: (definition: VmDefinition) => boolean | Promise<boolean>,
): Promise<boolean> {
  const lock = tryLock(vmPaths(definition.name).updateLock)
  if (lock === undefined) return false
  try {
    return await ask(definition)
  } finally {
    close(lock)
  }
}

/** As it is on record now. */
const isUnderUpdate = (definition: VmDefinition): boolean =>
  readDefinition(ramFileOf(definition))?.underUpdate !== undefined

function isAsleep(definition: VmDefinition): boolean {
  const now = readDefinition(ramFileOf(definition))
  return now !== undefined && isWoken(now)
}

/** One line for the operator, about a guest that runs on. */
const LEFT: Readonly<Record<Exclude<Interrupted, 'stopped'>, string>> = {
  set: "a command that was killed left its QEMU set for a save (cpr-reboot): 'guestmemfs resume' sets it back",
  begun: "its update was killed before it stopped the guest: 'guestmemfs resume' ends it",
  asked:
    "its agent was asked to suspend it, and it runs: 'guestmemfs resume' wakes it, or sees that it stays so",
}

export const leftLines = (interrupted: ReadonlyMap<Vm, Interrupted>): string[] =>
  [...interrupted].flatMap(([{ definition }, how]) =>
    how === 'stopped' ? [] : [`VM ${definition.name}: ${LEFT[how]}`],
  )
