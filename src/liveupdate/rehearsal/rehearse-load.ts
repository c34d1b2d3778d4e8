/**
 * The load of the next kernel in a rehearsal: loaded as an update loads it, and unloaded at once, so that a
 * signature or memory that this kernel asks for is missed before the maintenance window. It takes a lock of
 * the kernel's and memory, and stops no guest. Must not: leave a kernel loaded, or one less that can be.
 */
import { setImmediate } from 'node:timers/promises'
import { type KexecState, unloadKernel } from '../../linux/kexec.ts'
import type { Errno } from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import { DeferredSignals } from '../deferred-signals.ts'
import { loadNextKernel } from '../kernel/load-kernel.ts'
import type { NextKernel } from '../preflight/check-next-kernel.ts'

/**
 * `unloaded`: it was loaded, and is not loaded any more. `refused`: this kernel does not load it. `left-out`:
 * it was not tried. `left-loaded`: it could not be unloaded.
 */
export const LOAD_OUTCOMES = ['unloaded', 'refused', 'left-out', 'left-loaded'] as const
export type LoadOutcome = (typeof LOAD_OUTCOMES)[number]

export interface RehearsedLoad {
  readonly outcome: LoadOutcome
  /** One line; null: it was unloaded. */
  readonly why: string | null
}

/** What the running kernel does. Tests pass another. */
export interface LoadCalls {
  /** Errors: UsageError. */
  readonly load: (next: NextKernel, commandLine: string) => void
  readonly unload: () => Errno | undefined
}

const REAL: LoadCalls = { load: loadNextKernel, unload: unloadKernel }

/** `signalStatus`: the exit status for a signal that came meanwhile; undefined: there was none. */
export async function rehearseLoad(
  next: NextKernel,
  commandLine: string,
  state: KexecState,
  calls = REAL,
): Promise<{ readonly load: RehearsedLoad; readonly signalStatus: number | undefined }> {
  const why = whyLeftOut(state)
  if (why !== undefined) return { load: { outcome: 'left-out', why }, signalStatus: undefined }
  // A signal between the two calls would leave a kernel that the next reboot starts.
  const signals = new DeferredSignals()
  try {
    const load = loadAndUnload(next, commandLine, calls)
    await setImmediate() // Node notes a signal when this process waits
    return { load, signalStatus: signals.status }
  } finally {
    signals.end()
  }
}

function whyLeftOut({ isLoaded, callsLeft }: KexecState): string | undefined {
  if (isLoaded) return 'a kernel is loaded already, and would have to be loaded again afterwards'
  if (callsLeft === undefined) return undefined
  return `this kernel permits ${callsLeft} more loads and unloads (kernel.kexec_load_limit_reboot), which an update needs`
}

function loadAndUnload(next: NextKernel, commandLine: string, { load, unload }: LoadCalls): RehearsedLoad {
  try {
    load(next, commandLine)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return { outcome: 'refused', why: error.message }
  }
  const failed = unload()
  if (failed === undefined) return { outcome: 'unloaded', why: null }
  return {
    outcome: 'left-loaded',
    why: `the kernel that was loaded for the rehearsal cannot be unloaded (${failed}): unload it with 'kexec -s -u', or a kexec starts it`,
  }
}
