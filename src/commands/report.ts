/** Owns `guestmemfs report`, and how a report looks on a terminal. */
import type { Command } from 'commander'
import { print, printJson, printTable } from '../cli/print.ts'
import {
  lastReport,
  reportTable,
  reportTitle,
  type UpdateReport,
} from '../liveupdate/report/update-report.ts'
import { findMount } from '../pool/pool-view.ts'

export function registerReport(program: Command): void {
  program
    .command('report')
    .description('show the last live update again')
    .option('--mount <dir>', 'of this mount point or pool; default: whichever was the last')
    .option('--json', 'print it as JSON, times in microseconds')
    .action((options: { mount?: string; json?: true }) => {
      const report = lastReport(options.mount && findMount(options.mount).mountPoint)
      if (report !== undefined) printReport(report, options.json === true)
      else if (options.json) printJson(null)
      else print('there was no live update since this machine started')
    })
}

export function printReport(report: UpdateReport, asJson: boolean): void {
  if (asJson) {
    printJson(report)
    return
  }
  const title = reportTitle(report)
  if (title !== undefined) print(title)
  const { header, rows } = reportTable(report)
  printTable(header, rows)
  for (const { name, problem } of report.vms) if (problem !== null) print(`${name}: ${problem}`)
}
