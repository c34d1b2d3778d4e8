/** How commands show an update or a resumption: progress, reports, and what is wrong. */
import type { UpdateView } from '../liveupdate/update-view.ts'
import type { Finding } from '../values/finding.ts'
import { complain, print } from './print.ts'
import { showReport } from './print-report.ts'
import { showProgress } from './progress.ts'

/** `asJson`: the reports alone go to standard output. */
export const updateView = (asJson: boolean): UpdateView => ({
  problem: complain,
  nothing: (line) => (asJson ? undefined : print(line)),
  warning: printWarning,
  progress: (names) => showProgress(names, asJson),
  report: (report) => showReport(report, asJson),
})

export const printWarning = ({ message }: Finding): void => complain(`warning: ${message}`)
