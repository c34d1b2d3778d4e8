/**
 * The last look at a domain before its save, under its update lock: between the preflight and this seconds or
 * minutes pass, in which libvirt's clients plug devices and take snapshots. With XML of before them the next
 * QEMU would open other disks than the guest has. The caller holds the domain's lock.
 */
import { formatTimeout } from '../values/duration.ts'
import { UsageError } from '../values/errors.ts'
import { type ActiveDomain, readActiveDomain } from './active-domains.ts'
import { DomainMonitor } from './domain-monitor.ts'
import { readDomainRecord } from './domain-record.ts'
import { examineDomain } from './examine-domain.ts'
import type { DomainTools } from './save-domain.ts'
import { virsh } from './virsh.ts'

const LOOK_TIMEOUT_MS = 20_000

/** A monitor for `examineDomain`, whose questions together may take so long. */
export function lookMonitor(uuid: string, run = virsh): DomainMonitor {
  const monitor = new DomainMonitor(uuid, run)
  monitor.endWithin(
    LOOK_TIMEOUT_MS,
    `its QEMU has not described its machine within ${formatTimeout(LOOK_TIMEOUT_MS)}`,
  )
  return monitor
}

/**
 * The domain as it is now: what `saveDomain` is to be given in place of `planned`. Errors (UsageError,
 * QemuError, CorruptBytesError): it cannot be updated any more; nothing was done to it.
 */
export async function lookAgain(planned: ActiveDomain, tools: DomainTools): Promise<ActiveDomain> {
  const { uuid } = planned.about
  const { run, records, host } = tools
  const now = await readActiveDomain(uuid, run, host)
  // Of another start the pool may be one that is not frozen, or ends.
  if (now.id !== planned.id || now.mountPoint !== planned.mountPoint)
    throw new UsageError('it was started anew while the update was under way: try again')
  const isUpdated = readDomainRecord(uuid, records) !== undefined
  const { problems } = await examineDomain(now, isUpdated, lookMonitor(uuid, run))
  if (problems.length > 0) throw new UsageError(problems.join('; '))
  return now
}
