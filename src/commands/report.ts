/** `guestmemfs report`: the report of the last live update. */
import type { CommandModule } from '../cli/command.ts'
import { print, printJson } from '../cli/print.ts'
import { printReport } from '../cli/print-report.ts'
import { lastReport } from '../liveupdate/report/update-report.ts'
import { findMount } from '../pool/pool-view.ts'

export const command: CommandModule = {
  name: 'report',
  group: 'Live update',
  summary: 'show timings of the last live update',
  changes: false,
  register: (command) =>
    command
      .option('--mount <dir>', 'of this mount point or pool; default: whichever was the last')
      .option('--json', 'print it as JSON, times in microseconds')
      .action((options: { mount?: string; json?: true }) => {
        const report = lastReport(options.mount && findMount(options.mount).mountPoint)
        if (report !== undefined) printReport(report, options.json === true)
        else if (options.json) printJson(null)
        else print('there was no live update since this machine started')
      }),
}
