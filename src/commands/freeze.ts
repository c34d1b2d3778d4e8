/** `guestmemfs freeze`: sets the xattr by which the server refuses every modification. */
import type { CommandModule } from '../cli/command.ts'
import { registerSetFrozen } from '../cli/set-frozen.ts'

export const command: CommandModule = {
  name: 'freeze',
  group: 'Pools',
  summary: 'refuse every modification until thawed; guests go on writing to their RAM',
  changes: true,
  register: (command) => registerSetFrozen(command, true),
}
