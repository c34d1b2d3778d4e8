/**
 * The start of a saved guest in the next program of another VMM. The program alone knows when the guest goes
 * on: right before that it empties the state file, by which nobody starts from it a second time, over newer
 * memory. This command waits for that, and puts it on record. Must not: start the program.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Base, statBeneath } from '../../linux/beneath.ts'
import { isAlive, isSameProcess, type ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, type VmRuntime, vmPaths } from '../../run/vm-runtime.ts'
import { formatTimeout } from '../../values/duration.ts'
import { QemuError } from '../../values/errors.ts'
import { removeStateFile, type SavedState } from '../saved-state.ts'
import { endUpdate, ramFileOf, type VmDefinition, writeDefinition } from '../vm-definition.ts'
import { watchRunning } from '../watch/watcher-client.ts'
import { endVmm } from './end-vmm.ts'

const POLL_MS = 5

export interface VmmStart {
  /** Its `saved` is not null. */
  readonly definition: VmDefinition
  /** The VM's runtime record before the start. */
  readonly before: VmRuntime | undefined
  /** Resolves with a description of its end when the process that was to become the program has ended. */
  readonly ended?: Promise<string>
  readonly timeoutMs: number
  /** Called as each step is done. */
  readonly onStep: (step: 'launch' | 'continue') => void
}

/**
 * Returns the definition on record. Errors (QemuError): the program has not taken the state, and was ended;
 * or it has taken it and is gone, which `isTaken` tells.
 */
export async function startVmm({
  definition,
  before,
  ended,
  timeoutMs,
  onStep,
}: VmmStart): Promise<VmDefinition> {
  const { name } = definition
  const deadline = performance.now() + timeoutMs
  let end: string | undefined
  void ended?.then((words) => {
    end = words
  })
  let vmm = startedAfter(name, before)
  while (vmm === undefined) {
    if (end !== undefined) throw new QemuError(`its program ${end} (see ${vmPaths(name).log})`)
    if (performance.now() > deadline)
      throw new QemuError(`no program was started within ${formatTimeout(timeoutMs)}`)
    await sleep(POLL_MS)
    vmm = startedAfter(name, before)
  }
  onStep('launch')
  return await awaitTaken(definition, vmm, deadline - performance.now(), () => onStep('continue'))
}

/** As `startVmm`, of a program that runs already. `onTaken`: called when the guest goes on. */
export async function awaitTaken(
  definition: VmDefinition,
  vmm: ProcessIdentity,
  timeoutMs: number,
  onTaken: () => void,
): Promise<VmDefinition> {
  const { name } = definition
  const why = await whyNotTaken(definition, vmm, timeoutMs)
  if (why !== undefined) {
    await endVmm(name, vmm)
    // The program may have taken it just before its end.
    const after = isTaken(definition) ? 'had emptied its state file and ' : ''
    throw new QemuError(`its program ${after}${why} (see ${vmPaths(name).log})`)
  }
  onTaken()
  const { path } = definition.saved as SavedState
  const running = { ...definition, underUpdate: { wasRunning: true }, saved: null }
  writeDefinition(running)
  removeStateFile(path)
  const settled = endUpdate(running)
  await watchRunning(settled)
  return settled
}

/** undefined: the program has taken the state, and runs. `base` is for tests. */
export async function whyNotTaken(
  definition: VmDefinition,
  vmm: ProcessIdentity,
  timeoutMs: number,
  base?: Base,
): Promise<string | undefined> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    if (!isAlive(vmm)) return 'has ended'
    if (isTaken(definition, base)) return undefined
    if (performance.now() > deadline)
      return `has not emptied its state file within ${formatTimeout(timeoutMs)}`
    await sleep(POLL_MS)
  }
}

/**
 * Whether a program has gone on from the saved state: its file is empty, or gone from a mount that is there.
 * `base` is for tests.
 */
export function isTaken(definition: VmDefinition, base?: Base): boolean {
  const { path } = definition.saved as SavedState
  const state = statBeneath(path, base)
  return state === undefined ? statBeneath(ramFileOf(definition), base) !== undefined : state.size === 0
}

/** Another process than before, which is on record before it has executed the program. */
function startedAfter(name: string, before: VmRuntime | undefined): ProcessIdentity | undefined {
  const now = readRuntime(name)?.qemu
  if (now == null) return undefined
  return before?.qemu != null && isSameProcess(now, before.qemu) ? undefined : now
}
