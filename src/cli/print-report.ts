/** The report of a live update as text on standard output, and its copy in /run. */
import { longestParts } from '../liveupdate/report/kernel-parts.ts'
import { keepInHistory } from '../liveupdate/report/report-history.ts'
import {
  keepReport,
  reportTable,
  reportTitle,
  type UpdateReport,
} from '../liveupdate/report/update-report.ts'
import { formatDuration } from '../values/duration.ts'
import { complain, print, printTable } from './print.ts'

/**
 * Of an update that has just ended: kept for `guestmemfs report`. One that cannot be kept is no failure of
 * the update.
 */
export function keepShown(report: UpdateReport): void {
  const unkept = keepReport(report)
  const unkeptForLater = keepInHistory(report)
  if (unkept !== undefined) complain(`'guestmemfs report' will not have this report: ${unkept}`)
  else if (unkeptForLater !== undefined)
    complain(`later pages of 'guestmemfs report --html' will not have this report: ${unkeptForLater}`)
}

export function printReport(report: UpdateReport): void {
  const title = reportTitle(report)
  if (title !== undefined) print(title)
  const { header, rows } = reportTable(report)
  printTable(header, rows)
  for (const { part, durationUs, advice } of longestParts(report.kernel?.parts ?? []))
    print(`${part}: ${formatDuration(durationUs)}${advice === null ? '' : `; ${advice}`}`)
  for (const line of report.kernel?.early ?? []) print(`not before the mount: ${line}`)
  for (const { name, problem, quitFirst } of report.vms) {
    if (typeof quitFirst === 'string') print(`${name}: its old QEMU had to end first: ${quitFirst}`)
    if (problem !== null) print(`${name}: ${problem}`)
  }
  for (const name of report.left ?? []) print(`${name}: left, so it ended with the former kernel`)
}
