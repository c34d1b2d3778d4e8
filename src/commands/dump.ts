/** `guestmemfs dump`: all that a pool's image holds. Must not: mount it or change it. */
import type { CommandModule } from '../cli/command.ts'
import { printJson } from '../cli/print.ts'
import { dumpImage } from '../fs/image/dump-image.ts'
import { readPoolImage } from '../pool/pool-image.ts'

export const command: CommandModule = {
  name: 'dump',
  group: 'Inspect',
  summary: "print a pool's image as JSON: header, state, and the records of its log",
  changes: false,
  register: (command) =>
    command
      .argument('<pool|file>', 'its name or its mount point, or a file that holds an image')
      .action((named: string) => printJson<'dump'>(dumpImage(readPoolImage(named).area))),
}
