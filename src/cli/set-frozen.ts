/** What `guestmemfs freeze` and `guestmemfs thaw` share. */
import type { Command } from 'commander'
import { findMount, setFrozen } from '../pool/pool-view.ts'
import { ONLY_POOL, poolArgument } from './pool-argument.ts'
import { print, printJson } from './print.ts'

export function registerSetFrozen(command: Command, frozen: boolean): void {
  poolArgument(command, ONLY_POOL)
    .option('--json', 'print JSON')
    .action((named: string | undefined, options: { json?: true }) => {
      const mount = findMount(named)
      const changed = setFrozen(mount, frozen)
      if (options.json) printJson<'freeze'>({ ...mount, frozen, changed })
      else
        print(
          `${mount.pool} on ${mount.mountPoint}: ${changed ? '' : 'already '}${frozen ? 'frozen' : 'thawed'}`,
        )
    })
}
