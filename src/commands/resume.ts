/** `guestmemfs resume`: resume saved VMs, in all mounts or in one. */
import type { CommandModule } from '../cli/command.ts'
import { collect, DEFAULT_TIMEOUT } from '../cli/options.ts'
import { poolArgument } from '../cli/pool-argument.ts'
import { printJson } from '../cli/print.ts'
import { type ResumeOptions, showResumption } from '../cli/show-resumption.ts'
import { collected } from '../cli/show-update.ts'

interface Options extends ResumeOptions {
  readonly name: readonly string[]
  readonly json?: true
}

export const command: CommandModule = {
  name: 'resume',
  group: 'Guests',
  summary: 'resume saved VMs: after a live update that failed, or in the next kernel',
  description: `
    Starts the VMs that are saved, all at once, each as the user that it ran as, and continues those that
    an update had stopped. First it thaws the pools that an update has frozen. One VM that does not start
    holds back no other: it keeps its RAM and its saved state, and can be resumed again. Where no pool is
    mounted there is nothing to resume, and that is a success: guestmemfs-resume.service calls it at every
    boot.`,
  exitStatus: {
    0: 'each VM that was to be resumed runs, or there was none',
    1: 'a VM was not resumed, or a mount or a record could not be read',
    '128+N': 'signal N arrived; the VMs came to their end all the same',
  },
  examples: [
    { about: 'all that are saved', typed: 'guestmemfs resume' },
    {
      about: 'one VM, with another QEMU',
      typed: 'guestmemfs resume --name web --qemu /opt/qemu/bin/qemu-system-x86_64',
    },
  ],
  seeAlso: ['guestmemfs-vms(8)', 'guestmemfs-live-update(8)', 'docs/guide/live-update.md'],
  changes: true,
  register: (command) =>
    poolArgument(command, 'all')
      .option(
        '--name <vm>',
        'this VM only; may be given several times; default: all that are saved',
        collect,
        [],
      )
      .option('--qemu <path>', 'the QEMU to start; default: what each VM was started with')
      .option('--timeout <time>', 'for each step of each VM, as 200ms, 5s or 2m', DEFAULT_TIMEOUT)
      .option('--json', 'print JSON')
      .action(async (named: string | undefined, options: Options) => {
        const collects = collected(options.json)
        process.exitCode = await showResumption({ named, names: options.name }, options, collects)
        if (collects !== undefined) printJson<'resume'>({ reports: collects.reports })
      }),
}
