/**
 * The live update of QEMU alone, for the VMs of a mount: it chooses them, runs the preflight, and replaces
 * every QEMU at once.
 */
import { type ActiveDomain, activeDomains, type OtherDomain } from '../libvirt/active-domains.ts'
import { SuccessorRoom } from '../qemu/successor/room.ts'
import type { Vm } from '../qemu/vm-list.ts'
import { recordRunningUpdate } from '../run/running-updates.ts'
import { UsageError } from '../values/errors.ts'
import { type Finding, fail, warn } from '../values/finding.ts'
import { DeferredSignals } from './deferred-signals.ts'
import { checkDomains, type DomainCheck } from './domains/check-domains.ts'
import { replaceDomain, untouchedDomain } from './domains/domain-guest.ts'
import { type OtherContext, runForEach, type VmBatch } from './for-each-vm.ts'
import { replaceQemu } from './guest/replace-qemu.ts'
import { vmTimeline } from './guest/vm-result.ts'
import { checkGuests, subjectOf } from './preflight/check-guests.ts'
import { nowMs, PhaseClock, type VmTimeline } from './report/timeline.ts'
import { isSuccess, type UpdateReport } from './report/update-report.ts'
import type { UpdateView } from './update-view.ts'
import { vmsOfMount } from './vm-mounts.ts'

/**
 * Those of `vms` that run, or the named ones. Errors (UsageError): a named one is unknown or does not run;
 * none runs.
 */
export function chooseVms(vms: readonly Vm[], names: readonly string[]): Vm[] {
  const unknown = names.find((name) => !vms.some(({ definition }) => definition.name === name))
  if (unknown !== undefined) throw new UsageError(`there is no VM '${unknown}': see 'guestmemfs vms'`)
  const wanted = names.length === 0 ? vms : vms.filter(({ definition }) => names.includes(definition.name))
  const idle = names.length === 0 ? undefined : wanted.find(({ state }) => state !== 'running')
  if (idle !== undefined) {
    const { name } = idle.definition
    const advice = idle.state === 'saved' ? `: continue it with 'guestmemfs resume --name ${name}'` : ''
    throw new UsageError(`VM ${name} is ${idle.state}${advice}`)
  }
  const running = wanted.filter(({ state }) => state === 'running')
  if (running.length === 0)
    throw new UsageError("no VM runs there: start one with 'guestmemfs run -- qemu-system-x86_64 …'")
  return running
}

export interface VmmUpdate {
  /** A mount point or a pool; undefined: the only mount. */
  readonly named: string | undefined
  /** None: all that run. */
  readonly names: readonly string[]
  readonly nextQemu: string | undefined
  /** For each step of each VM. */
  readonly timeoutMs: number
  readonly isAllOrNone: boolean
}

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
  const { named, names, ...choice } = update
  const { mountPoint, vms, problems: unread } = vmsOfMount(named)
  const libvirt = await activeDomains()
  const problems = [...unread, ...libvirt.problems]
  for (const problem of problems) view.problem(problem)
  const domains = libvirt.ours.filter(
    (domain) => domain.mountPoint === mountPoint && (names.length === 0 || names.includes(domain.about.name)),
  )
  const isNoneKnown =
    problems.length > 0 && domains.length === 0 && !vms.some(({ state }) => state === 'running')
  if (isNoneKnown && names.length === 0) return 1
  const chosen = chooseBeside(domains, vms, names)
  if (names.length === 0) for (const other of libvirt.others) view.warning(otherDomain(other))
  const signals = new DeferredSignals()
  const { onPhase, onDone, until } = view.progress([
    ...chosen.map(({ definition }) => definition.name),
    ...domains.map(({ about }) => about.name),
  ])
  const onWarning = (finding: Finding): void => view.warning(finding)
  const work = updateVmms({
    ...choice,
    mountPoint,
    vms: chosen,
    domains,
    onPhase,
    onDone,
    onWarning,
    signals,
  })
  const report = await until(work).finally(() => signals.end())
  view.report(report)
  return signals.status ?? (isSuccess(report) && problems.length === 0 ? 0 : 1)
}

const otherDomain = ({ name, whyNot }: OtherDomain): Finding =>
  warn(subjectOf({ name }), `${subjectOf({ name })} of libvirt is not updated: ${whyNot}`)

/** As `chooseVms`, where libvirt's domains may be all that runs, or all that is named. */
function chooseBeside(domains: readonly ActiveDomain[], vms: readonly Vm[], names: readonly string[]): Vm[] {
  const own = names.filter((name) => !domains.some(({ about }) => about.name === name))
  if (domains.length === 0 || own.length > 0) return chooseVms(vms, own)
  return names.length > 0 ? [] : vms.filter(({ state }) => state === 'running')
}

interface VmmChoice extends VmBatch {
  readonly domains: readonly ActiveDomain[]
  /** If one guest cannot be updated, none is. */
  readonly isAllOrNone: boolean
  /** A signal ends the update for each guest that is not paused yet; the others come to their end. */
  readonly signals: DeferredSignals
  readonly onWarning: (finding: Finding) => void
}

/**
 * A guest with an error in its findings is left as it is, and the report names it; the others are updated.
 * Errors (UsageError): no guest can be updated, or, with `isAllOrNone`, not all; none was paused.
 */
async function updateVmms(batch: VmmChoice): Promise<UpdateReport> {
  const [{ findings: ofVms, lines }, ofDomains] = await Promise.all([
    checkGuests(batch.vms, batch.nextQemu, 'here'),
    checkTheDomains(batch),
  ])
  const findings = [...ofVms, ...ofDomains.findings]
  const refusals = findings.filter(({ severity }) => severity === 'error')
  const problemsOf = (guest: { readonly name: string }): Finding[] =>
    refusals.filter(({ subject }) => subject === subjectOf(guest))
  const fit = batch.vms.filter(({ definition }) => problemsOf(definition).length === 0)
  const guests = [
    ...batch.vms.map(({ definition }) => definition),
    ...batch.domains.map(({ about }) => about),
  ]
  const isOfAll = refusals.some(({ subject }) => !guests.some((guest) => subject === subjectOf(guest)))
  const others = ofDomains.fit.map((domain) => ({
    name: domain.about.name,
    run: (context: OtherContext) =>
      replaceDomain(domain, {
        ...context,
        timeoutMs: batch.timeoutMs,
        check: () => batch.signals.check(),
      }),
  }))
  if (isOfAll || fit.length + others.length === 0 || (batch.isAllOrNone && refusals.length > 0))
    throw new UsageError(refusals.map(({ message }) => message).join('\nguestmemfs: '))
  for (const finding of findings) if (finding.severity === 'warn') batch.onWarning(finding)
  batch.signals.check()
  const report = await runForEach(
    'vmm-only',
    { ...batch, lines, vms: fit, others, room: new SuccessorRoom(), check: () => batch.signals.check() },
    replaceQemu,
  )
  const left = [
    ...batch.vms.filter((vm) => !fit.includes(vm)).map((vm) => refused(vm, problemsOf(vm.definition))),
    ...batch.domains
      .filter((domain) => !ofDomains.fit.includes(domain))
      .map((domain) => untouchedDomain(domain, 'refused', wordsOf(problemsOf(domain.about)))),
  ]
  for (const result of left) batch.onDone(result)
  return { ...report, vms: [...report.vms, ...left] }
}

/** libvirt chooses the QEMU of a domain, by its XML. */
async function checkTheDomains({ domains, vms, nextQemu }: VmmChoice): Promise<DomainCheck> {
  if (nextQemu === undefined)
    return await checkDomains(domains, new Set(vms.map(({ definition }) => definition.name)))
  const findings = domains.map(({ about }) => {
    const subject = subjectOf(about)
    return fail(subject, `${subject}: --qemu is not for it: libvirt starts the <emulator> of its XML`)
  })
  return { findings, fit: [] }
}

/** Without the subject of each. */
const wordsOf = (problems: readonly Finding[]): string =>
  problems.map(({ message, subject }) => message.slice(subject.length + 2)).join('; ')

/** The result of a guest that is left as it is. */
function refused({ definition }: Vm, problems: readonly Finding[]): VmTimeline {
  const { qemuVersion } = definition
  const clock = new PhaseClock(nowMs())
  const result = { before: definition, after: undefined, qemuBefore: qemuVersion, stateBytes: 0, clock }
  return { ...vmTimeline(result, 'refused', wordsOf(problems)), qemuAfter: qemuVersion }
}
