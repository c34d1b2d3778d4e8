/** How commands show an update or a resumption: progress, reports, and what is wrong. */
import type { UpdateReport } from '../liveupdate/report/update-report.ts'
import type { UpdateView } from '../liveupdate/update-view.ts'
import type { Finding } from '../values/finding.ts'
import { complain, print } from './print.ts'
import { keepShown, printReport } from './print-report.ts'
import { showProgress } from './progress.ts'

/** With --json: what the command prints at its end, as one object. */
export interface Collected {
  readonly reports: UpdateReport[]
  readonly findings: Finding[]
}

/** undefined: the command prints for people, and at once. */
export const collected = (asJson: boolean | undefined): Collected | undefined =>
  asJson ? { reports: [], findings: [] } : undefined

export const updateView = (collects: Collected | undefined): UpdateView => ({
  problem: complain,
  nothing: (line) => (collects === undefined ? print(line) : undefined),
  warning: (finding) => {
    collects?.findings.push(finding)
    printWarning(finding)
  },
  progress: (names) => showProgress(names, collects !== undefined),
  report: (report) => showReport(report, collects),
})

export function showReport(report: UpdateReport, collects: Collected | undefined): void {
  if (collects === undefined) printReport(report)
  else collects.reports.push(report)
  keepShown(report)
}

export const printWarning = ({ message }: Finding): void => complain(`warning: ${message}`)
