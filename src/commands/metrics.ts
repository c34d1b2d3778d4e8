/** `guestmemfs metrics`: figures of this host for Prometheus, printed or in a file. */
import type { CommandModule } from '../cli/command.ts'
import { complain, print } from '../cli/print.ts'
import { readMetrics } from '../metrics/read-metrics.ts'
import { replaceOutput } from '../run/atomic-file.ts'

/** node_exporter, which reads the file, runs as a user of its own. */
const MODE = 0o644

export const command: CommandModule = {
  name: 'metrics',
  group: 'Inspect',
  summary: 'print figures of pools, guests and the last live update for Prometheus',
  changes: false,
  register: (command) =>
    command
      .option('--textfile <file>', "print nothing: replace this file, for node_exporter's textfile collector")
      .action(({ textfile }: { textfile?: string }) => {
        const { text, problems } = readMetrics()
        for (const problem of problems) complain(problem)
        if (textfile === undefined) print(text.trimEnd())
        else replaceOutput(textfile, text, MODE)
      }),
}
