/**
 * `guestmemfs handover`: what `live-update` does with a pool of memfds between the freeze and the kexec, by
 * hand.
 */

import type { CommandModule } from '../cli/command.ts'
import { ONLY_POOL, poolArgument } from '../cli/pool-argument.ts'
import { print, printJson } from '../cli/print.ts'
import { findMount } from '../pool/pool-view.ts'
import { freezeAndPreserve } from '../pool/request-handover.ts'

export const command: CommandModule = {
  name: 'handover',
  aliases: ['hand-over'], // its name until 0.1
  group: 'Live update',
  summary: "freeze a pool of memfds and preserve it for the next kernel; 'thaw' unpreserves it",
  changes: true,
  register: (command) =>
    poolArgument(command, ONLY_POOL)
      .option('--json', 'print JSON')
      .action(async (named: string | undefined, options: { json?: true }) => {
        const mount = findMount(named)
        const { preserved } = await freezeAndPreserve(mount)
        if (options.json) printJson<'handover'>({ ...mount, frozen: true, preserved })
        else
          print(
            `${mount.pool} on ${mount.mountPoint}: frozen and handed over (${preserved} files, the image among them); 'guestmemfs thaw' undoes that`,
          )
      }),
}
