/** What `guestmemfs freeze` and `guestmemfs thaw` share. */
import type { Command } from 'commander'
import { findMount, setFrozen } from '../pool/pool-view.ts'
import { print, printJson } from './print.ts'

export function registerSetFrozen(command: Command, frozen: boolean): void {
  command
    .argument('[pool|mountpoint]', 'not needed where one pool is mounted')
    .option('--json', 'print JSON')
    .action((named: string | undefined, options: { json?: true }) => {
      const mount = findMount(named)
      const changed = setFrozen(mount, frozen)
      if (options.json) printJson({ ...mount, frozen, changed })
      else
        print(
          `${mount.pool} on ${mount.mountPoint}: ${changed ? '' : 'already '}${frozen ? 'frozen' : 'thawed'}`,
        )
    })
}
