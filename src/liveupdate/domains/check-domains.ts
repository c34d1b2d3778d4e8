/**
 * Checks, before a guest is paused, that each domain can be saved and started again. Must not: change
 * anything that lasts.
 */
import { statfsSync } from 'node:fs'
import type { ActiveDomain, ActiveDomains } from '../../libvirt/active-domains.ts'
import { DomainMonitor } from '../../libvirt/domain-monitor.ts'
import { readDomainRecords } from '../../libvirt/domain-record.ts'
import { lockDomain } from '../../libvirt/domain-state.ts'
import { examineDomain } from '../../libvirt/examine-domain.ts'
import { hookFacts, hookProblem } from '../../libvirt/hook-check.ts'
import { isFrozen } from '../../pool/pool-view.ts'
import { formatTimeout } from '../../values/duration.ts'
import { errorText } from '../../values/errors.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { formatSize } from '../../values/size.ts'
import { PMD_BYTES } from '../../values/units.ts'
import { subjectOf } from '../preflight/check-guests.ts'
import type { PoolFacts } from '../preflight/pool-facts.ts'
import { outlivesKexec } from '../preflight/pool-facts.ts'
import { checkPrivateRam } from '../preflight/private-ram.ts'

const LOOK_TIMEOUT_MS = 20_000
/** A state file takes at least one block of the pool. */
const STATE_BYTES = PMD_BYTES

export interface DomainCheck {
  readonly findings: readonly Finding[]
  /** Those without an error. */
  readonly fit: readonly ActiveDomain[]
}

/** `taken`: names of VMs that libvirt does not own. */
export async function checkDomains(
  domains: readonly ActiveDomain[],
  taken: ReadonlySet<string>,
): Promise<DomainCheck> {
  if (domains.length === 0) return { findings: [], fit: [] }
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
      return { domain, findings: await findingsOf(domain, isUpdated, problems) }
    }),
  )
  return {
    findings: all.flatMap(({ findings }) => findings),
    fit: all.flatMap(({ domain, findings }) =>
      findings.some(({ severity }) => severity === 'error') ? [] : domain,
    ),
  }
}

async function findingsOf(
  domain: ActiveDomain,
  isUpdated: boolean,
  problems: readonly string[],
): Promise<Finding[]> {
  const { about, mountPoint } = domain
  const subject = subjectOf(about)
  const failed = (line: string): Finding => fail(subject, `${subject}: ${line}`)
  try {
    const release = await lockDomain(about.uuid)
    try {
      const monitor = new DomainMonitor(about.uuid)
      monitor.endWithin(
        LOOK_TIMEOUT_MS,
        `its QEMU has not described its machine within ${formatTimeout(LOOK_TIMEOUT_MS)}`,
      )
      const found = await examineDomain(domain, isUpdated, monitor)
      const ofPrivate = checkPrivateRam(found.privateBytes, STATE_BYTES)
      return [
        ...[...problems, ...found.problems, ...ofPrivate.problems].map(failed),
        ...noRoom(mountPoint, STATE_BYTES + found.privateBytes).map(failed),
        ...[...about.remarks, ...ofPrivate.remarks].map((line) => warn(subject, `${subject}: ${line}`)),
      ]
    } finally {
      release()
    }
  } catch (error) {
    return [...problems, errorText(error)].map(failed)
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
