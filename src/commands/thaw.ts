/** `guestmemfs thaw`: ends a freeze, and unpreserves what a handover has preserved. */
import type { CommandModule } from '../cli/command.ts'
import { registerSetFrozen } from '../cli/set-frozen.ts'

export const command: CommandModule = {
  name: 'thaw',
  group: 'Pools',
  summary: 'end a freeze',
  changes: true,
  register: (command) => registerSetFrozen(command, false),
}
