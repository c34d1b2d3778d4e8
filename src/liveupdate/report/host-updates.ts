/**
 * Reports as updates of the host: an update of the kernel has a report for each mount, and another one of a
 * mount where a guest was resumed later by its name.
 */
import { reportsInHistory } from './report-history.ts'
import type { VmTimeline } from './timeline.ts'
import { keptReports, lastReport, type UpdateReport } from './update-report.ts'

/** Of all mounts that took part. Times as in their reports. */
export interface HostUpdate {
  readonly kind: UpdateReport['kind']
  readonly startedAtMs: number
  /** The longest of its reports. */
  readonly durationUs: number
  /** One of each mount. */
  readonly reports: readonly UpdateReport[]
  readonly guests: readonly VmTimeline[]
  /** Guests that the operator left. */
  readonly left: readonly string[]
}

export interface KnownUpdates {
  /** undefined: none is known. */
  readonly last: HostUpdate | undefined
  /** In the order in which they ended, the last one included. */
  readonly all: readonly HostUpdate[]
}

/**
 * Those of this machine that are kept. `mountPoint`: of this mount alone. Errors: UsageError for a user other
 * than root.
 */
export function readUpdates(mountPoint: string | undefined): KnownUpdates {
  const last = lastReport(mountPoint)
  const known = new Map<string, UpdateReport>()
  const inRun = keptReports().sort((a, b) => a.startedAtMs - b.startedAtMs)
  for (const report of [...reportsInHistory(), ...inRun])
    if (mountPoint === undefined || report.mountPoint === mountPoint)
      known.set(JSON.stringify(report), report)
  const all = hostUpdates([...known.values()])
  return { all, last: (last && all.findLast((update) => isPartOf(last, update))) ?? all.at(-1) }
}

/** `reports`: in the order in which they were made. */
export function hostUpdates(reports: readonly UpdateReport[]): HostUpdate[] {
  const groups = new Map<string, UpdateReport[]>()
  for (const [index, report] of reports.entries()) {
    const key = keyOf(report) ?? String(index)
    groups.set(key, [...(groups.get(key) ?? []), report])
  }
  return [...groups.values()].map(together)
}

/** The same for all reports of an update of the kernel. undefined: the report is an update by itself. */
function keyOf({ kind, startedAtMs, kernel }: UpdateReport): string | undefined {
  if (kind !== 'kernel' || kernel === undefined) return undefined
  return JSON.stringify([startedAtMs, kernel.before, kernel.wanted, kernel.after === null])
}

const isPartOf = (report: UpdateReport, { reports }: HostUpdate): boolean =>
  reports.some(
    ({ mountPoint, startedAtMs, kind }) =>
      mountPoint === report.mountPoint && startedAtMs === report.startedAtMs && kind === report.kind,
  )

function together(reports: readonly UpdateReport[]): HostUpdate {
  const byMount = new Map<string, UpdateReport>()
  for (const report of reports) {
    const former = byMount.get(report.mountPoint)
    byMount.set(report.mountPoint, former === undefined ? report : later(former, report))
  }
  const [{ kind, startedAtMs }] = reports as [UpdateReport]
  const all = [...byMount.values()]
  return {
    kind,
    startedAtMs,
    durationUs: all.reduce((most, { durationUs }) => Math.max(most, durationUs), all[0]?.durationUs ?? 0),
    reports: all,
    guests: all.flatMap(({ vms }) => vms),
    left: [...new Set(all.flatMap(({ left = [] }) => left))],
  }
}

/** The second report of a mount has the guests that were resumed by then; the others are as they were. */
function later(former: UpdateReport, report: UpdateReport): UpdateReport {
  const isAgain = ({ name }: VmTimeline): boolean => report.vms.some((vm) => vm.name === name)
  return { ...former, ...report, vms: [...former.vms.filter((vm) => !isAgain(vm)), ...report.vms] }
}
