/** Owns `guestmemfs freeze` and `guestmemfs thaw`. */

import type { Command } from 'commander'
import { print, printJson } from '../cli/print.ts'
import { findMount, setFrozen } from '../pool/pool-view.ts'

const register = (program: Command, name: string, frozen: boolean, description: string): void => {
  program
    .command(name)
    .description(description)
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

export const registerFreeze = (program: Command): void => {
  register(
    program,
    'freeze',
    true,
    'refuse every modification until thawed; stores through existing mappings go on',
  )
  register(program, 'thaw', false, 'end a freeze')
}
