/** A subcommand as its file in `src/commands/` exports it: `export const command: CommandModule`. */
import type { Command } from 'commander'
import type { WaitingKeeper } from '../pool/waiting-keeper.ts'

/** The headings of `guestmemfs help`. */
export type CommandGroup = 'Pools' | 'Guests' | 'Live update' | 'Setup' | 'Inspect'

export interface CommandModule {
  readonly name: string
  readonly aliases?: readonly string[]
  /** undefined: the command is not for operators, and not in the help. */
  readonly group: CommandGroup | undefined
  /** One line of the help. */
  readonly summary: string
  /**
   * Whether it changes anything, with these options. Then it runs to its end also where no process reads its
   * output any more, and the journal records who ran it.
   */
  readonly changes: boolean | ((options: Readonly<Record<string, unknown>>) => boolean)
  /** It may not return, or only after weeks: its beginning is logged in the journal as well. */
  readonly mayNotReturn?: true
  /**
   * Its standard streams become another program's. Node would make them non-blocking for that one as well.
   */
  readonly lendsStreams?: true
  /**
   * Adds arguments, options and the action to `command`, which has its name and its summary. `waiting`: for
   * `mount`, the process that may become its keeper.
   */
  readonly register: (command: Command, waiting: WaitingKeeper | undefined) => unknown
}
