/** `guestmemfs keep POOL`, for the systemd unit alone. `--check` is its ExecCondition=. */
import type { CommandModule } from '../cli/command.ts'
import { complain } from '../cli/print.ts'
import { hasWork, keepPool } from '../pool/keep-pool.ts'

export const command: CommandModule = {
  name: 'keep',
  group: undefined,
  summary: '',
  changes: true,
  register: (command) =>
    command
      .argument('<pool>')
      .option('--check')
      .action(async (pool: string, { check }: { check?: true }) => {
        // ExecCondition=: 1 means that there is nothing to do, and that this is no failure. It does not get
        // the store itself.
        process.exitCode = (check ? hasWork(pool) : await keepPool(pool, complain)) ? 0 : 1
      }),
}
