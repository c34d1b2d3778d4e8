/** `guestmemfs report`: the report of the last live update, or a page of it and of former ones. */
import type { CommandModule } from '../cli/command.ts'
import { print, printJson } from '../cli/print.ts'
import { printReport } from '../cli/print-report.ts'
import { writeReportPage } from '../liveupdate/report/page/write-report-page.ts'
import { lastReport } from '../liveupdate/report/update-report.ts'
import { findMount } from '../pool/pool-view.ts'
import { UsageError } from '../values/errors.ts'

interface ReportOptions {
  readonly mount?: string
  readonly json?: true
  readonly html?: string
}

export const command: CommandModule = {
  name: 'report',
  group: 'Live update',
  summary: 'show timings of the last live update; --html: as a page, with former updates',
  changes: false,
  register: (command) =>
    command
      .option('--mount <dir>', 'of this mount point or pool; default: whichever was the last')
      .option('--json', 'print it as JSON, times in microseconds')
      .option('--html <file>', 'print nothing: replace this file by a page of it and of former updates')
      .action(report),
}

function report({ mount, json, html }: ReportOptions): void {
  if (html !== undefined && json) throw new UsageError('give either --html FILE or --json')
  const mountPoint = mount === undefined ? undefined : findMount(mount).mountPoint
  if (html !== undefined) {
    writeReportPage(html, mountPoint)
    return
  }
  const last = lastReport(mountPoint)
  if (last !== undefined) printReport(last, json === true)
  else if (json) printJson(null)
  else print('there was no live update since this machine started')
}
