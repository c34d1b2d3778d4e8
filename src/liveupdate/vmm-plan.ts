/**
 * The plan of an update of QEMU alone: the guests of a mount that it is about, and what the preflight finds
 * of each. Must not: pause a guest.
 */
import { type ActiveDomain, activeDomains, type OtherDomain } from '../libvirt/active-domains.ts'
import type { TriedLines } from '../qemu/carry/next-line.ts'
import type { Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { type Finding, fail, warn } from '../values/finding.ts'
import { checkDomains, type DomainCheck } from './domains/check-domains.ts'
import { checkGuests, subjectOf } from './preflight/check-guests.ts'
import { problemsOf } from './preflight/guest-findings.ts'
import { vmsOfMount } from './vm-mounts.ts'

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

export interface FoundGuests {
  readonly mountPoint: string
  /** All that are recorded there. */
  readonly vms: readonly Vm[]
  /** The named ones, or all there. */
  readonly domains: readonly ActiveDomain[]
  /** Records that cannot be read, one line each. */
  readonly problems: readonly string[]
  /** Of domains that cannot be updated. */
  readonly warnings: readonly Finding[]
}

/** Errors (UsageError): no such mount. */
export async function findGuests({ named, names }: Pick<VmmUpdate, 'named' | 'names'>): Promise<FoundGuests> {
  const { mountPoint, vms, problems } = vmsOfMount(named)
  const { ours, others, problems: unread } = await activeDomains()
  return {
    mountPoint,
    vms,
    domains: ours.filter(
      (domain) =>
        domain.mountPoint === mountPoint && (names.length === 0 || names.includes(domain.about.name)),
    ),
    problems: [...problems, ...unread],
    warnings: names.length === 0 ? others.map(otherDomain) : [],
  }
}

const otherDomain = ({ name, whyNot }: OtherDomain): Finding =>
  warn(subjectOf({ name }), `${subjectOf({ name })} of libvirt is not updated: ${whyNot}`)

/**
 * As `chooseVms`, where libvirt's domains may be all that runs, or all that is named. undefined: none is
 * known to run, and not all records can be read. Errors: UsageError.
 */
export function chooseGuests(
  { vms, domains, problems }: FoundGuests,
  names: readonly string[],
): Vm[] | undefined {
  const running = vms.filter(({ state }) => state === 'running')
  if (names.length === 0 && problems.length > 0 && domains.length + running.length === 0) return undefined
  const own = names.filter((name) => !domains.some(({ about }) => about.name === name))
  if (domains.length === 0 || own.length > 0) return chooseVms(vms, own)
  return names.length > 0 ? [] : running
}

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

export interface VmmScope extends Pick<VmmUpdate, 'nextQemu' | 'isAllOrNone'> {
  readonly vms: readonly Vm[]
  readonly domains: readonly ActiveDomain[]
}

export interface VmmCheck {
  readonly findings: readonly Finding[]
  /** The errors among them. */
  readonly refusals: readonly Finding[]
  /** No guest is updated. */
  readonly isRefused: boolean
  /** Guests without an error of their own. */
  readonly vms: readonly Vm[]
  readonly domains: readonly ActiveDomain[]
  /** As of `GuestCheck`. */
  readonly lines: TriedLines
  /** Names of those that do not run, which stay so. */
  readonly paused: readonly string[]
}

export async function checkVmmUpdate(scope: VmmScope): Promise<VmmCheck> {
  const [{ findings: ofVms, lines, paused: ofPaused }, ofDomains] = await Promise.all([
    checkGuests(scope.vms, scope.nextQemu, 'here'),
    checkTheDomains(scope),
  ])
  const findings = [...ofVms, ...ofDomains.findings]
  const refusals = findings.filter(({ severity }) => severity === 'error')
  const isOfOne = ({ subject }: Finding): boolean =>
    [...scope.vms.map(({ definition }) => definition), ...scope.domains.map(({ about }) => about)].some(
      (guest) => subject === subjectOf(guest),
    )
  const vms = scope.vms.filter(({ definition }) => problemsOf(definition, refusals).length === 0)
  const isRefused =
    !refusals.every(isOfOne) ||
    vms.length + ofDomains.fit.length === 0 ||
    (scope.isAllOrNone && refusals.length > 0)
  const paused = [...ofPaused, ...ofDomains.paused]
  return { findings, refusals, isRefused, vms, domains: ofDomains.fit, lines, paused }
}

/** libvirt chooses the QEMU of a domain, by its XML. */
async function checkTheDomains({ domains, vms, nextQemu }: VmmScope): Promise<DomainCheck> {
  if (nextQemu === undefined)
    return await checkDomains(domains, new Set(vms.map(({ definition }) => definition.name)))
  const findings = domains.map(({ about }) => {
    const subject = subjectOf(about)
    return fail(subject, `${subject}: --qemu is not for it: libvirt starts the <emulator> of its XML`)
  })
  return { findings, fit: [], paused: [] }
}
