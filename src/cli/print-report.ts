/** The report of a live update on standard output, as text or as JSON. */
import { longestParts } from '../liveupdate/report/kernel-parts.ts'
import {
  formatDuration,
  reportTable,
  reportTitle,
  type UpdateReport,
} from '../liveupdate/report/update-report.ts'
import { print, printJson, printTable } from './print.ts'

export function printReport(report: UpdateReport, asJson: boolean): void {
  if (asJson) {
    printJson(report)
    return
  }
  const title = reportTitle(report)
  if (title !== undefined) print(title)
  const { header, rows } = reportTable(report)
  printTable(header, rows)
  for (const { part, durationUs, advice } of longestParts(report.kernel?.parts ?? []))
    print(`${part}: ${formatDuration(durationUs)}${advice === null ? '' : `; shorter by ${advice}`}`)
  for (const { name, problem, quitFirst } of report.vms) {
    if (typeof quitFirst === 'string') print(`${name}: its old QEMU had to end first: ${quitFirst}`)
    if (problem !== null) print(`${name}: ${problem}`)
  }
}
