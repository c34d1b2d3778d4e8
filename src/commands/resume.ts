/** `guestmemfs resume`: resume saved VMs, in all mounts or in one. */
import type { CommandModule } from '../cli/command.ts'
import { DEFAULT_TIMEOUT_MS } from '../cli/options.ts'
import { type ResumeOptions, showResumption } from '../cli/show-resumption.ts'

export const command: CommandModule = {
  name: 'resume',
  group: 'Guests',
  summary: 'resume saved VMs: after a live update that failed, or in the next kernel',
  changes: true,
  register: (command) =>
    command
      .argument('[name...]', 'default: all that are saved')
      .option('--mount <dir>', 'those of this mount point or pool only')
      .option('--qemu <path>', 'the QEMU to start; default: what each VM was started with')
      .option('--timeout-ms <n>', 'for each step of each VM', DEFAULT_TIMEOUT_MS)
      .option('--json', 'print the report as JSON, times in microseconds; one line for each mount')
      .action(async (names: string[], options: ResumeOptions) => {
        process.exitCode = await showResumption(names, options)
      }),
}
