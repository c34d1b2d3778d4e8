/**
 * The rehearsal of an update of the kernel: all that `live-update --kernel` does before it stops a guest, but
 * for the preservation of RAM where LUO hands it over. Must not: leave anything as it was not before.
 */
import { type KexecState, kexecState } from '../../linux/kexec.ts'
import { type Finding, fail, hasError, warn } from '../../values/finding.ts'
import type { Preflight } from '../kernel/kernel-plan.ts'
import type { HostUpdate } from '../report/host-updates.ts'
import { expectedBlackout } from './expected-blackout.ts'
import { guestFates } from './guest-fates.ts'
import type { Rehearsal } from './rehearsal.ts'
import { type RehearsedLoad, rehearseLoad } from './rehearse-load.ts'

/** The running kernel's; tests pass others. */
export interface RehearsedKernel {
  readonly state: KexecState
  readonly load: typeof rehearseLoad
}

/**
 * `updates`: as of `KnownUpdates.all`. The kernel is loaded only where the preflight has found no error, as
 * in an update. `signalStatus`: the exit status for a signal that came during the load.
 */
export async function rehearseKernel(
  preflight: Preflight,
  updates: readonly HostUpdate[],
  kernel: RehearsedKernel = { state: kexecState(), load: rehearseLoad },
): Promise<{ readonly rehearsal: Rehearsal; readonly signalStatus: number | undefined }> {
  const { plan, next, findings } = preflight
  const isRefused = hasError(findings) || next === undefined
  const { load, signalStatus } = isRefused
    ? { load: NOT_LOADED, signalStatus: undefined }
    : await kernel.load(next, plan.commandLine, kernel.state)
  const all = [...findings, ...loadFindings(load)]
  const kind = { kind: 'kernel', via: plan.via } as const
  return {
    rehearsal: {
      kind: 'kernel',
      isReady: !isRefused && !hasError(all),
      plan,
      load,
      guests: guestFates(preflight).map((guest) => ({
        ...guest,
        expected:
          guest.fate === 'carried' && guest.state === 'running'
            ? expectedBlackout(updates, kind, guest)
            : null,
      })),
      findings: all,
    },
    signalStatus,
  }
}

const NOT_LOADED: RehearsedLoad = { outcome: 'left-out', why: 'the update is refused' }

function loadFindings(load: RehearsedLoad): Finding[] {
  const { outcome, why } = load
  if (why === null || load === NOT_LOADED) return []
  return outcome === 'left-out'
    ? [warn('kernel', `the next kernel was not loaded to try it: ${why}`)]
    : [fail('kernel', why)]
}
