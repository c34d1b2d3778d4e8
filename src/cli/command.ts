/** A subcommand as its file in `src/commands/` exports it: `export const command: CommandModule`. */
import type { Command } from 'commander'
import type { WaitingKeeper } from '../pool/waiting-keeper.ts'

/** The headings of `guestmemfs help`. */
export type CommandGroup = 'Pools' | 'Guests' | 'Live update' | 'Setup' | 'Inspect'

export interface CommandModule {
  readonly name: string
  readonly aliases?: readonly string[]
  /** undefined: not for people, and not in the help. */
  readonly group: CommandGroup | undefined
  /** One line of the help. */
  readonly summary: string
  /**
   * Adds arguments, options and the action to `command`, which has its name and its summary. `waiting`: for
   * `mount`, the process that may become its keeper.
   */
  readonly register: (command: Command, waiting: WaitingKeeper | undefined) => unknown
}
