/**
 * The update of a host's kernel: load the next one, save guests, freeze pools, jump. Where a step fails, it
 * undoes all of them.
 */
import { syncFileSystems, unloadKernel } from '../../linux/kexec.ts'
import type { TriedLines } from '../../qemu/carry/next-line.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import { DeferredSignals } from '../deferred-signals.ts'
import type { DomainScope } from '../domains/domain-steps.ts'
import type { NextKernel } from '../preflight/check-next-kernel.ts'
import { nowMs, type VmTimeline } from '../report/timeline.ts'
import type { UpdateReport } from '../report/update-report.ts'
import { jump } from './jump.ts'
import type { KernelPlan } from './kernel-plan.ts'
import { loadNextKernel } from './load-kernel.ts'
import { type UpdateScope, UpdateSteps } from './update-steps.ts'

export interface KernelUpdate {
  readonly plan: KernelPlan
  /** The files of the plan's kernel, as the preflight opened them. */
  readonly next: NextKernel
  readonly vms: readonly Vm[]
  /** As of `VmBatch`. */
  readonly lines: TriedLines
  /** As in `Preflight`. */
  readonly recorded: readonly string[]
  readonly libvirt?: DomainScope
  /** For each step of each VM. */
  readonly timeoutMs: number
  readonly patienceMs: number
  /** One line for the operator, as each step is done. */
  readonly onProgress: (line: string) => void
}

/** What the running kernel does with the next one. Tests, which must not jump, pass another. */
export interface Kexec {
  /** Errors: UsageError. */
  readonly load: (next: NextKernel, commandLine: string) => void
  readonly unload: () => unknown
  readonly jump: typeof jump
}

const REAL: Kexec = { load: loadNextKernel, unload: unloadKernel, jump }

export interface RolledBack {
  readonly reason: string
  /** The exit status for a signal that stopped it; undefined: there was none. */
  readonly signalStatus: number | undefined
  readonly startedAtMs: number
  readonly vms: readonly VmTimeline[]
}

/**
 * Does not return if the update succeeds: this process ends with its kernel. Errors (UsageError): the next
 * kernel could not be loaded, and nothing was changed.
 */
export async function updateKernel(update: KernelUpdate, kexec = REAL): Promise<RolledBack> {
  const { plan, next, onProgress } = update
  const startedAtMs = nowMs()
  // Before the load: a signal that came after it would leave a kernel that the next reboot starts.
  const signals = new DeferredSignals()
  try {
    kexec.load(next, plan.commandLine)
  } catch (error) {
    signals.end()
    throw error
  }
  onProgress(`kernel ${plan.next} is loaded`)
  const steps = new UpdateSteps(scope(update), startedAtMs)
  try {
    // Guests still run meanwhile, and their blackout is shorter: the first takes up to a second, and a later
    // sync has less to write.
    await steps.readClock()
    syncFileSystems()
    signals.check()
    // First, so that `guestmemfs resume` finds what to undo if this process is killed.
    steps.writeUpdateRecord()
    // Before the guests are stopped: preserving RAM takes time in proportion to its size, and guests may
    // write to it meanwhile.
    await steps.preserve('ram')
    signals.check()
    await steps.sleepAll()
    signals.check()
    await steps.suspendAll()
    signals.check()
    steps.freeze()
    await steps.checkNoNewGuest()
    await steps.preserve('files')
    syncFileSystems()
    signals.check()
    steps.releaseLocks()
    if (plan.via === 'systemctl') await steps.endDomains()
    steps.writeUpdateRecord()
    await steps.preserve('image')
    onProgress(`jumping into kernel ${plan.next}`)
    // After the progress line, whose reader may delay this process: another client of a QEMU could continue a
    // guest meanwhile.
    await steps.checkStillStopped()
    throw new UsageError(await kexec.jump(plan.via))
  } catch (error) {
    const reason = errorText(error)
    onProgress(`${reason}: rolling back`)
    kexec.unload()
    const vms = await steps.rollBack()
    return { reason, signalStatus: signals.status, startedAtMs, vms }
  } finally {
    signals.end()
  }
}

/** One report for each mount, with the times of its guests until they ran again. */
export function rollbackReports(plan: KernelPlan, { startedAtMs, vms }: RolledBack): UpdateReport[] {
  return plan.pools.map(({ mountPoint }) => {
    const names = plan.vms.filter((vm) => vm.mountPoint === mountPoint).map(({ name }) => name)
    return {
      format: 1,
      kind: 'kernel',
      mountPoint,
      startedAtMs: Math.round(startedAtMs),
      durationUs: Math.round((Date.now() - startedAtMs) * 1000),
      kernel: {
        before: plan.before,
        after: null,
        wanted: plan.next ?? '',
        via: plan.via,
        clockUncertaintyUs: 0,
      },
      vms: vms.filter(({ name }) => names.includes(name)),
    }
  })
}

function scope({ plan, vms, lines, recorded, libvirt, timeoutMs, patienceMs }: KernelUpdate): UpdateScope {
  const { via, before, next = '', pools } = plan
  return {
    vms,
    lines,
    recorded,
    pools,
    timeoutMs,
    patienceMs,
    left: plan.left,
    ...(libvirt !== undefined && { libvirt }),
    change: { via, before, next },
  }
}
