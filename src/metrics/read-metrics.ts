/**
 * Reads what is measured: records, mounts that a server serves, and reports. Must not: ask a QEMU, since its
 * QMP socket takes one client at a time and an update may be waiting for it; or read a mount that no server
 * serves, which may not answer.
 */
import { mountTable, waitingFuseRequests } from '../linux/mounts.ts'
import { keptReports, type UpdateReport } from '../liveupdate/report/update-report.ts'
import { vmMount } from '../liveupdate/vm-mounts.ts'
import { type PoolSummary, summarisePools } from '../pool/pool-summary.ts'
import { ramBytesOf } from '../qemu/vm-definition.ts'
import { readVms, type Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { exposition, type MetricFamily } from './exposition.ts'
import { type MeasuredPool, poolMetrics } from './pool-metrics.ts'
import { readPoolSections } from './pool-sections.ts'
import { updateMetrics } from './update-metrics.ts'
import { type MeasuredVm, vmMetrics } from './vm-metrics.ts'

export interface HostMetrics {
  /** In Prometheus' text format. */
  readonly text: string
  /** One line for each thing that could not be read; the text has the others, and how many these are. */
  readonly problems: readonly string[]
}

export function readMetrics(): HostMetrics {
  const problems: string[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      problems.push(error.message)
      return undefined
    }
  }
  const summaries = summarisePools()
  const pools = summaries.map((summary) => measuredPool(summary, attempt))
  const lists = summaries.flatMap((summary) => attempt(() => vmsOf(summary)) ?? [])
  const reports = attempt(keptReports) ?? ([] as UpdateReport[])
  const vms = lists.flatMap((list) => {
    problems.push(...list.problems)
    return list.vms
  })
  const families = [
    ...poolMetrics(pools),
    ...vmMetrics(
      vms,
      lists.map(({ pool }) => pool),
    ),
    ...updateMetrics(reports),
    problemsFamily(problems.length),
  ]
  return { text: exposition(families), problems }
}

type Attempt = <T>(read: () => T) => T | undefined

/** Its free bytes are known only where a server answers. */
const servedMount = ({ mountPoint, freeBytes }: PoolSummary): string | undefined =>
  freeBytes === null || mountPoint === null ? undefined : mountPoint

function measuredPool(summary: PoolSummary, attempt: Attempt): MeasuredPool {
  const { pool, state, mountPoint, sizeBytes } = summary
  const served = servedMount(summary)
  return {
    ...{ pool, state, mountPoint, sizeBytes },
    sections: served === undefined ? undefined : attempt(() => readPoolSections(served)),
    waiting: waitingIn(mountPoint),
  }
}

function waitingIn(mountPoint: string | null): number | undefined {
  const mount = mountTable().findLast(({ target }) => target === mountPoint)
  return mount && waitingFuseRequests(mount.minor)
}

interface PoolVms {
  readonly pool: string
  readonly vms: readonly MeasuredVm[]
  readonly problems: readonly string[]
}

/** undefined: no server answers. Errors: UsageError. */
function vmsOf(summary: PoolSummary): PoolVms | undefined {
  const { pool } = summary
  const mountPoint = servedMount(summary)
  if (mountPoint === undefined) return undefined
  const { vms, problems } = readVms(vmMount({ pool, mountPoint }).recorded)
  return { pool, problems, vms: vms.map((vm) => measuredVm(pool, vm)) }
}

function measuredVm(pool: string, { definition, state }: Vm): MeasuredVm {
  const { name, saved } = definition
  const isStopped = state === 'running' && saved !== null
  return { pool, name, state: isStopped ? 'stopped' : state, ramBytes: ramBytesOf(definition) }
}

const problemsFamily = (count: number): MetricFamily => ({
  name: 'guestmemfs_read_problems',
  type: 'gauge',
  help: 'How many pools, guests or reports could not be read, each of which is a line of guestmemfs metrics on standard error.',
  samples: [{ labels: {}, value: count }],
})
