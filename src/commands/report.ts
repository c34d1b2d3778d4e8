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
  description: `
    Shows the blackout of each guest in its phases, which follow each other without a gap: save, quit,
    freeze, preserve, jump, boot, mount, wait, launch, start, load and continue. Below the table of an
    update of the kernel stand the longest parts of the jump and of the boot, with what would shorten
    them. Where there was no update since this machine started it says so, and that is a success.`,
  examples: [{ about: 'the last update, for a script', typed: 'guestmemfs report --json' }],
  seeAlso: ['guestmemfs-live-update(8)', 'guestmemfs-doctor(8)', 'docs/live-update.md'],
  changes: false,
  register: (command) =>
    command
      .option('--mount <pool|mountpoint>', 'of this pool; default: whichever was the last')
      .option('--json', 'print it as JSON, times in microseconds')
      .action((options: { mount?: string; json?: true }) => {
        const report = lastReport(options.mount && findMount(options.mount).mountPoint)
        if (report !== undefined) printReport(report, options.json === true)
        else if (options.json) printJson(null)
        else print('there was no live update since this machine started')
      }),
}
