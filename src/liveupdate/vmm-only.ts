/**
 * The live update of QEMU alone, for the VMs of a mount: it has them chosen and checked, and replaces every
 * QEMU at once.
 */
import type { ActiveDomain } from '../libvirt/active-domains.ts'
import { SuccessorRoom } from '../qemu/successor/room.ts'
import type { Vm } from '../qemu/vm-list.ts'
import { recordRunningUpdate } from '../run/running-updates.ts'
import { UsageError } from '../values/errors.ts'
import type { Finding } from '../values/finding.ts'
import { DeferredSignals } from './deferred-signals.ts'
import { replaceDomain, untouchedDomain } from './domains/domain-guest.ts'
import { type OtherContext, runForEach, type VmBatch } from './for-each-vm.ts'
import { replaceQemu } from './guest/replace-qemu.ts'
import { vmTimeline } from './guest/vm-result.ts'
import { reasonsOf } from './preflight/guest-findings.ts'
import { nowMs, PhaseClock, type VmTimeline } from './report/timeline.ts'
import { isSuccess, type UpdateReport } from './report/update-report.ts'
import type { UpdateView } from './update-view.ts'
import { checkVmmUpdate, chooseGuests, findGuests, type VmmUpdate } from './vmm-plan.ts'

/** Returns the exit status. Errors: UsageError. */
export async function updateQemus(update: VmmUpdate, view: UpdateView): Promise<number> {
  const ended = recordRunningUpdate()
  try {
    return await updateAnnounced(update, view)
  } finally {
    ended()
  }
}

async function updateAnnounced(update: VmmUpdate, view: UpdateView): Promise<number> {
  const { named: _, names, ...choice } = update
  const found = await findGuests(update)
  const { mountPoint, domains, problems } = found
  for (const problem of problems) view.problem(problem)
  const vms = chooseGuests(found, names)
  if (vms === undefined) return 1
  for (const warning of found.warnings) view.warning(warning)
  const signals = new DeferredSignals()
  const { onPhase, onDone, until } = view.progress([
    ...vms.map(({ definition }) => definition.name),
    ...domains.map(({ about }) => about.name),
  ])
  const onWarning = (finding: Finding): void => view.warning(finding)
  const work = updateVmms({ ...choice, mountPoint, vms, domains, onPhase, onDone, onWarning, signals })
  const report = await until(work).finally(() => signals.end())
  view.report(report)
  return signals.status ?? (isSuccess(report) && problems.length === 0 ? 0 : 1)
}

interface VmmChoice extends VmBatch {
  readonly domains: readonly ActiveDomain[]
  /** If one guest cannot be updated, none is. */
  readonly isAllOrNone: boolean
  /** A signal ends the update for each guest that is not stopped yet; the others come to their end. */
  readonly signals: DeferredSignals
  readonly onWarning: (finding: Finding) => void
}

/**
 * A guest with an error in its findings is left as it is, and the report names it; the others are updated.
 * Errors (UsageError): no guest can be updated, or, with `isAllOrNone`, not all; none was stopped.
 */
async function updateVmms(batch: VmmChoice): Promise<UpdateReport> {
  const { findings, refusals, isRefused, ...fit } = await checkVmmUpdate(batch)
  const others = fit.domains.map((domain) => ({
    name: domain.about.name,
    run: (context: OtherContext) =>
      replaceDomain(domain, {
        ...context,
        timeoutMs: batch.timeoutMs,
        check: () => batch.signals.check(),
      }),
  }))
  if (isRefused) throw new UsageError(refusals.map(({ message }) => message).join('\nguestmemfs: '))
  for (const finding of findings) if (finding.severity === 'warn') batch.onWarning(finding)
  batch.signals.check()
  const { lines, vms } = fit
  const report = await runForEach(
    'vmm-only',
    { ...batch, lines, vms, others, room: new SuccessorRoom(), check: () => batch.signals.check() },
    replaceQemu,
  )
  const left = [
    ...batch.vms
      .filter((vm) => !vms.includes(vm))
      .map((vm) => refused(vm, reasonsOf(vm.definition, refusals))),
    ...batch.domains
      .filter((domain) => !fit.domains.includes(domain))
      .map((domain) => untouchedDomain(domain, 'refused', reasonsOf(domain.about, refusals))),
  ]
  for (const result of left) batch.onDone(result)
  return { ...report, vms: [...report.vms, ...left] }
}

/** The result of a guest that is left as it is. */
function refused({ definition }: Vm, words: string): VmTimeline {
  const { qemuVersion } = definition
  const clock = new PhaseClock(nowMs())
  const result = { before: definition, after: undefined, qemuBefore: qemuVersion, stateBytes: 0, clock }
  return { ...vmTimeline(result, 'refused', words), qemuAfter: qemuVersion }
}
