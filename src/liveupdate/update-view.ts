/** What the operator is shown of an update or a resumption while it runs. The command line implements it. */
import type { Finding } from '../values/finding.ts'
import type { Phase, VmTimeline } from './report/timeline.ts'
import type { UpdateReport } from './report/update-report.ts'

export interface VmProgress {
  readonly onPhase: (name: string, phase: Phase) => void
  readonly onDone: (result: VmTimeline) => void
  /** Shows progress until `work` is done, and returns what `work` returns. */
  readonly until: <T>(work: Promise<T>) => Promise<T>
}

export interface UpdateView {
  /** One line about what cannot be done, or about a record that cannot be read. */
  problem(line: string): void
  /** One line that says why there is nothing to do. */
  nothing(line: string): void
  warning(finding: Finding): void
  /** `names`: of the VMs. */
  progress(names: readonly string[]): VmProgress
  report(report: UpdateReport): void
}
