/** `guestmemfs report`: the report of the last live update, or a page of it and of former ones. */
import type { CommandModule } from '../cli/command.ts'
import { poolArgument } from '../cli/pool-argument.ts'
import { print, printJson } from '../cli/print.ts'
import { printReport } from '../cli/print-report.ts'
import { writeReportPage } from '../liveupdate/report/page/write-report-page.ts'
import { lastReport } from '../liveupdate/report/update-report.ts'
import { findMount } from '../pool/pool-view.ts'
import { UsageError } from '../values/errors.ts'

interface ReportOptions {
  readonly json?: true
  readonly html?: string
}

export const command: CommandModule = {
  name: 'report',
  group: 'Live update',
  summary: 'show timings of the last live update',
  description: `
    Shows the blackout of each guest in its phases, which follow each other without a gap: save, quit,
    freeze, preserve, jump, boot, mount, wait, launch, start, load and continue. Below the table of an
    update of the kernel stand the longest parts of the jump and of the boot, with what would shorten
    them. Where there was no update since this machine started it says so, and that is a success. With
    --html it makes a page that needs nothing else, of that update and of former ones of this host.`,
  examples: [
    { about: 'the last update, for a script', typed: 'guestmemfs report --json' },
    { about: 'a page for the change board', typed: 'guestmemfs report --html update.html' },
  ],
  seeAlso: ['guestmemfs-live-update(8)', 'guestmemfs-doctor(8)', 'docs/guide/live-update.md'],
  changes: false,
  register: (command) =>
    poolArgument(command, 'whichever was updated last')
      .option('--json', 'print JSON')
      .option('--html <file>', 'print nothing: replace this file by a page of it and of former updates')
      .action(report),
}

function report(named: string | undefined, { json, html }: ReportOptions): void {
  if (html !== undefined && json) throw new UsageError('give either --html FILE or --json')
  const mountPoint = named === undefined ? undefined : findMount(named).mountPoint
  if (html !== undefined) {
    writeReportPage(html, mountPoint)
    return
  }
  const last = lastReport(mountPoint)
  if (json) printJson<'report'>({ reports: last === undefined ? [] : [last] })
  else if (last !== undefined) printReport(last)
  else print('there was no live update since this machine started')
}
