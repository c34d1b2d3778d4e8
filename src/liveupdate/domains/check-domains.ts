/**
 * Checks, before a guest is stopped, that each domain can be saved and started again. Must not: change
 * anything that lasts.
 */
import { statfsSync } from 'node:fs'
import type { ActiveDomain, ActiveDomains } from '../../libvirt/active-domains.ts'
import { readDomainRecords } from '../../libvirt/domain-record.ts'
import { lockDomain } from '../../libvirt/domain-state.ts'
import { examineDomain } from '../../libvirt/examine-domain.ts'
import { hookFacts, hookProblem } from '../../libvirt/hook-check.ts'
import { lookMonitor } from '../../libvirt/look-again.ts'
import { isFrozen } from '../../pool/pool-view.ts'
import { errorText } from '../../values/errors.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { formatSize } from '../../values/size.ts'
import { PMD_BYTES } from '../../values/units.ts'
import { subjectOf } from '../preflight/check-guests.ts'
import type { PoolFacts } from '../preflight/pool-facts.ts'
import { outlivesKexec } from '../preflight/pool-facts.ts'
import { checkPrivateRam } from '../preflight/private-ram.ts'

/** A state file takes at least one block of the pool. */
const STATE_BYTES = PMD_BYTES

export interface DomainCheck {
  readonly findings: readonly Finding[]
  /** Those without an error. */
  readonly fit: readonly ActiveDomain[]
  /** Names of those that do not run, which stay so. */
  readonly paused: readonly string[]
}

/** `taken`: names of VMs that libvirt does not own. */
export async function checkDomains(
  domains: readonly ActiveDomain[],
  taken: ReadonlySet<string>,
): Promise<DomainCheck> {
  if (domains.length === 0) return { findings: [], fit: [], paused: [] }
  const hook = hookProblem(hookFacts())
  const { records } = readDomainRecords()
  const all = await Promise.all(
    domains.map(async (domain) => {
      const { uuid, name } = domain.about
      const problems = [
        ...(hook === undefined ? [] : [hook]),
        ...(taken.has(name) ? ["a VM that 'guestmemfs run' started has the same name"] : []),
      ]
      const isUpdated = records.some((record) => record.uuid === uuid)
      return { domain, ...(await look(domain, isUpdated, problems)) }
    }),
  )
  return {
    findings: all.flatMap(({ findings }) => findings),
    fit: all.flatMap(({ domain, findings }) =>
      findings.some(({ severity }) => severity === 'error') ? [] : domain,
    ),
    paused: all.flatMap(({ domain, isPaused }) => (isPaused ? domain.about.name : [])),
  }
}

async function look(
  domain: ActiveDomain,
  isUpdated: boolean,
  problems: readonly string[],
): Promise<{ readonly findings: readonly Finding[]; readonly isPaused?: boolean | undefined }> {
  const { about, mountPoint } = domain
  const subject = subjectOf(about)
  const failed = (line: string): Finding => fail(subject, `${subject}: ${line}`)
  try {
    const release = await lockDomain(about.uuid)
    try {
      const found = await examineDomain(domain, isUpdated, lookMonitor(about.uuid))
      const ofPrivate = checkPrivateRam(found.privateBytes, STATE_BYTES)
      const findings = [
        ...[...problems, ...found.problems, ...ofPrivate.problems].map(failed),
        ...noRoom(mountPoint, STATE_BYTES + found.privateBytes).map(failed),
        ...[...about.remarks, ...ofPrivate.remarks].map((line) => warn(subject, `${subject}: ${line}`)),
      ]
      return { findings, isPaused: found.isPaused }
    } finally {
      release()
    }
  } catch (error) {
    return { findings: [...problems, errorText(error)].map(failed) }
  }
}

function noRoom(mountPoint: string, bytes: number): string[] {
  if (isFrozen(mountPoint)) return [`${mountPoint} is frozen: 'guestmemfs thaw' it first`]
  const { bavail, bsize } = statfsSync(mountPoint)
  if (bavail * bsize >= bytes) return []
  return [`${mountPoint} has no room for its state: it takes up to ${formatSize(bytes)}`]
}

/** Domains that a kernel update cannot save, with the pool or the reason. Pure. */
export function checkDomainPools(
  pools: readonly PoolFacts[],
  domains: ActiveDomains,
  left: readonly string[],
): Finding[] {
  return [
    ...domains.problems.map((problem) => fail('libvirt', problem)),
    ...domains.others.map(({ name, whyNot }) => {
      const subject = subjectOf({ name })
      return warn(subject, `${subject} of libvirt ends with this kernel: ${whyNot}`)
    }),
    ...domains.ours.flatMap(({ about: { name }, mountPoint }) => {
      if (left.includes(name)) return []
      const subject = subjectOf({ name })
      const facts = pools.find((pool) => pool.mountPoint === mountPoint)
      if (facts === undefined)
        return [fail(subject, `${subject}: its pool on ${mountPoint} is not mounted any more`)]
      if (!outlivesKexec(facts))
        return [
          fail(
            subject,
            `${subject} would end with this kernel, as pool '${facts.pool}' does (store=${facts.store})`,
          ),
        ]
      return facts.isChosen
        ? []
        : [
            fail(
              subject,
              `${subject} of pool '${facts.pool}' would end with this kernel: name no pool to include it`,
            ),
          ]
    }),
  ]
}
